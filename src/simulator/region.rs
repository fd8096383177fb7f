//! Where in the world a call is handled.

/// A region of Vonage's, with a host of its own for the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Region {
    /// The east of North America.
    NaEast,
    /// The west of North America.
    NaWest,
    /// The west of Europe.
    EuWest,
    /// The east of Europe.
    EuEast,
    /// Singapore.
    ApacSng,
    /// Australia.
    ApacAustralia,
}

impl Region {
    /// Every region.
    pub const ALL: [Self; 6] =
        [Self::NaEast, Self::NaWest, Self::EuWest, Self::EuEast, Self::ApacSng, Self::ApacAustralia];

    /// The host that knows the region's calls.
    #[must_use]
    pub fn host(self) -> &'static str {
        match self {
            Self::NaEast => "api-us-3.vonage.com",
            Self::NaWest => "api-us-4.vonage.com",
            Self::EuWest => "api-eu-3.vonage.com",
            Self::EuEast => "api-eu-4.vonage.com",
            Self::ApacSng => "api-ap-3.vonage.com",
            Self::ApacAustralia => "api-ap-4.vonage.com",
        }
    }

    /// The address as an answer webhook gives it.
    #[must_use]
    pub fn url(self) -> String {
        format!("https://{}", self.host())
    }
}
