//! The status of a gRPC call.

use gatelens_model::grpc::NAMES;

/// The canonical status of a gRPC call, from 0 (`OK`) to 16 (`UNAUTHENTICATED`).
///
/// The list is closed, because the upstream chooses the number. gRPC has a number outside of it read as `UNKNOWN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// The call succeeded.
    pub const OK: GrpcStatus = GrpcStatus(0);

    /// A number outside the list.
    pub const UNKNOWN: GrpcStatus = GrpcStatus(2);

    /// From the number in `grpc-status`.
    pub fn new(number: u64) -> Self {
        u8::try_from(number)
            .ok()
            .filter(|number| usize::from(*number) < NAMES.len())
            .map_or(Self::UNKNOWN, Self)
    }

    /// The name in `rpc.response.status_code`: `OK`, `UNAVAILABLE`.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }

    /// The number in `grpc-status`.
    pub fn number(self) -> u8 {
        self.0
    }

    /// One byte for a series key; zero is left for a request without such a status.
    pub(crate) fn to_byte(status: Option<Self>) -> u8 {
        status.map_or(0, |status| status.0.saturating_add(1))
    }

    /// `None` for a byte that only a newer version of the filter can read.
    pub(crate) fn from_byte(byte: u8) -> Option<Option<Self>> {
        match byte.checked_sub(1) {
            None => Some(None),
            Some(number) => (usize::from(number) < NAMES.len()).then_some(Some(Self(number))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_the_list_are_unknown() {
        let check = |number: u64, name: &str| assert_eq!(GrpcStatus::new(number).name(), name, "{number}");
        check(0, "OK");
        check(14, "UNAVAILABLE");
        check(16, "UNAUTHENTICATED");
        check(17, "UNKNOWN");
        check(256, "UNKNOWN");
        check(u64::MAX, "UNKNOWN");
    }

    #[test]
    fn a_status_is_read_back_from_its_byte() {
        for number in 0..17 {
            let status = Some(GrpcStatus::new(number));
            assert_eq!(GrpcStatus::from_byte(GrpcStatus::to_byte(status)), Some(status));
        }
        assert_eq!(GrpcStatus::from_byte(GrpcStatus::to_byte(None)), Some(None));
        assert_eq!(GrpcStatus::from_byte(18), None, "that of a newer version");
    }
}
