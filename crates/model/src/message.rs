//! The two messages of a request.

/// The request half or the response half of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

impl Message {
    /// Both messages, in the order in which they are sent.
    pub const ALL: [Self; 2] = [Self::Request, Self::Response];

    /// Value of `gatelens.body.message`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}
