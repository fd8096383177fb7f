//! The names things have at Vonage: parsed once, where they come in.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::placeholder::is_nobodys_id;
use super::visible::visible;

/// The longest id that is taken. Vonage's own are 40 characters; more than this is not an id.
const MAX_ID_BYTES: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing is there.
    #[error("an id must not be empty")]
    Empty,
    /// It is longer than any id.
    #[error("an id has at most {MAX_ID_BYTES} bytes")]
    TooLong,
    /// It stands for an id that the sender did not have: `NONE`, `null`, a UUID of zeros.
    #[error("this is a placeholder, and nobody's id")]
    Placeholder,
    /// It holds a character that no id has.
    #[error(
        "an id holds letters, digits, '-' and '_' only, a host name lower-case letters, digits, '-' and '.'; a leg's id is no address"
    )]
    Character,
}

/// Declares a newtype over the text of an id, with the check that lets a text become one.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes `text` as an id, without blanks around it and what nobody sees in it.
            ///
            /// # Errors
            /// When the text is empty, too long, a placeholder, or holds a character that this kind of id never has.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = visible(text.as_ref());
                $check(&text)?;
                if is_nobodys_id(&text) {
                    return Err(IdError::Placeholder);
                }
                Ok(Self(text.into_owned()))
            }

            /// The id as Vonage writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    };
}

id!(
    /// A conversation: `CON-<uuid>`. Its text becomes part of a request's path, so it is held to
    /// characters that cannot change the path.
    ConversationId,
    path_safe
);
id!(
    /// A member of a conversation: `MEM-<uuid>`. Part of a request's path, as a conversation's id is.
    MemberId,
    path_safe
);
id!(
    /// A Vonage application: a UUID.
    ApplicationId,
    path_safe
);
id!(
    /// The host that knows a conversation whose call is handled in one of Vonage's regions:
    /// `api-eu-3.vonage.com`. Lower-case. Whether it is Vonage's is not checked here.
    Region,
    host
);
id!(
    /// A leg (one participant's connection, a "call" of the Voice API). Opaque: inbound legs are 32 hex
    /// digits, outbound ones dashed UUIDs, and other spellings have been seen.
    LegId,
    opaque
);

fn path_safe(text: &str) -> Result<(), IdError> {
    opaque(text)?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.bytes().all(safe) { Ok(()) } else { Err(IdError::Character) }
}

fn host(text: &str) -> Result<(), IdError> {
    opaque(text)?;
    let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if text.bytes().all(safe) { Ok(()) } else { Err(IdError::Character) }
}

/// Whatever it is, it is no address: those may hold secrets, and ids are shown and logged.
fn opaque(text: &str) -> Result<(), IdError> {
    const OF_ADDRESSES: &[char] = &['@', '?', '#', '=', '&', ';', '%', '\\', '<', '>', '"', '{', '}'];
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.chars().any(char::is_control) || text.contains(OF_ADDRESSES) || text.contains("//") {
        Err(IdError::Character)
    } else {
        Ok(())
    }
}
