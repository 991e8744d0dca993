//! Why a request has no event.

/// Why a request has no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLogged {
    /// `exclude.log` leaves it out.
    Excluded,
    /// It is not in the sample.
    SampledOut,
}

impl NotLogged {
    /// All reasons, in the order of their places in shared data: append only.
    pub const ALL: [NotLogged; 2] = [NotLogged::Excluded, NotLogged::SampledOut];

    /// Value of `gatelens.not_logged.reason`.
    pub fn name(self) -> &'static str {
        match self {
            NotLogged::Excluded => "excluded",
            NotLogged::SampledOut => "sampled_out",
        }
    }
}
