//! Working off the queue of deliveries.

use super::file::{Delivery, Outcome};
use super::message::Message;
use super::observe::{MINUTE, SECOND};
use super::receivers::{Receiver, Retry, SendError};

/// Nanoseconds between attempts; the last one holds from there on.
const BACK_OFF: [i64; 6] = [10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE];
/// A message that could not be delivered for this time is given up.
const GIVEN_UP: i64 = 6 * 60 * MINUTE;

/// The end of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    /// The recipients of an e-mail that have it, though not all have.
    pub(crate) reached: Vec<String>,
}

impl Attempt {
    fn new(outcome: Outcome, status: Option<u16>, error: Option<String>) -> Self {
        Self { outcome, status, error, reached: Vec::new() }
    }
}

/// Sends a message. Blocks for at most about 20 s. `now` is in Unix nanoseconds.
pub(crate) fn attempt(delivery: &Delivery, receiver: Option<&Receiver>, now: i64) -> Attempt {
    let Some(receiver) = receiver else {
        let error = Some("the receiver was removed".to_owned());
        return Attempt::new(Outcome::Failed, None, error);
    };
    let Ok(message) = serde_json::from_str::<Message>(&delivery.content) else {
        let error = Some("the stored message cannot be read".to_owned());
        return Attempt::new(Outcome::Failed, None, error);
    };
    if message.is_resolved() && !receiver.send_resolved {
        return Attempt::new(Outcome::Delivered, None, None);
    }
    ended(receiver.send(&message, delivery, now), delivery, now)
}

/// What follows from a response.
fn ended(sent: Result<Option<u16>, SendError>, delivery: &Delivery, now: i64) -> Attempt {
    match sent {
        Ok(status) => Attempt::new(Outcome::Delivered, status, None),
        Err(SendError { status, message, retry, reached }) => {
            let wait = BACK_OFF[(delivery.attempts as usize).min(BACK_OFF.len() - 1)];
            let is_late = now.saturating_add(wait).saturating_sub(delivery.created_at) > GIVEN_UP;
            let outcome = match retry {
                Retry::Later if !is_late => Outcome::Waiting(now.saturating_add(wait)),
                Retry::Later | Retry::Never => Outcome::Failed,
            };
            Attempt { reached, ..Attempt::new(outcome, status, Some(message)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_back_off_and_end() {
        let mut delivery = Delivery {
            id: 1,
            receiver: "ops".to_owned(),
            rule: "r".to_owned(),
            fingerprint: "f".to_owned(),
            kind: "firing".to_owned(),
            content: String::new(),
            created_at: 0,
            outcome: "waiting".to_owned(),
            attempts: 0,
            next_at: 0,
            last_at: None,
            status: None,
            error: None,
            reached: Vec::new(),
        };
        let mut now = 0;
        let mut waits = Vec::new();
        loop {
            match ended(Err(SendError::again(Some(503), "busy")), &delivery, now).outcome {
                Outcome::Waiting(at) => {
                    waits.push((at - now) / SECOND);
                    now = at;
                    delivery.attempts += 1;
                }
                outcome => {
                    assert_eq!(outcome, Outcome::Failed);
                    break;
                }
            }
        }
        assert_eq!(waits[..7], [10, 30, 60, 120, 300, 600, 600]);
        assert!((GIVEN_UP - 10 * MINUTE..=GIVEN_UP).contains(&now), "{now}");
        let refused = ended(Err(SendError::never(Some(404), "gone")), &delivery, 0);
        assert_eq!((refused.outcome, refused.status), (Outcome::Failed, Some(404)));
        assert_eq!(ended(Ok(Some(204)), &delivery, 0).outcome, Outcome::Delivered);
        assert_eq!(attempt(&delivery, None, 0).error.as_deref(), Some("the receiver was removed"));
    }
}
