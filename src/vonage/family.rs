//! The path families of the Conversation API: five shapes of the same answers.

/// Which shape of the Conversation API is asked for: a part of the path. Vonage's own examples for reading a
/// conversation went from `beta` by way of `v0.1`, `v1` and `v0.3` back to `v1`; all of them were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The first: members inside the conversation, `uuid` for `id`.
    Beta,
    /// As `beta`, with more keys. Its list of members is a bare array that names users only.
    V01,
    /// Members listed under `_embedded.data.members`.
    V02,
    /// The one of the present tutorial: members listed under `_embedded.members`.
    V03,
    /// As `v0.3`, with `is_system` for `isSystem`.
    V1,
}

impl Family {
    /// Every family that can be asked.
    pub const ALL: [Self; 5] = [Self::Beta, Self::V01, Self::V02, Self::V03, Self::V1];

    /// Its name in paths and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beta => "beta",
            Self::V01 => "v0.1",
            Self::V02 => "v0.2",
            Self::V03 => "v0.3",
            Self::V1 => "v1",
        }
    }

    /// The family of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == name)
    }

    /// Whether it lists a conversation's events at `…/events`. The specifications of all five do: Nexmo's
    /// `conversation.yml` 1.7.0 (`beta`) and 2.0.1 (`v0.1`, deprecated there), `conversation.v2.yml` 1.0.1
    /// (`v0.2`), and Vonage's Conversation API 5.5.1 (`v1`, whose answers `v0.3` shares). The first two know
    /// neither pages nor `start_id`: they tell every event each time.
    #[must_use]
    pub fn has_event_list(self) -> bool {
        match self {
            Self::Beta | Self::V01 | Self::V02 | Self::V03 | Self::V1 => true,
        }
    }
}
