//! The versions of a conversation up to an instant.

use jiff::Timestamp;

use super::Failure;
use super::refusal::Refusal;
use crate::domain::ids::{ConversationId, MemberId};
use crate::domain::snapshot::{Digests, Document, DocumentName, Snapshot};
use crate::store::{Store, StoreError};
use crate::vonage::document::{ConversationDocument, MemberDocument, MembersPage};
use crate::vonage::family::Family;

/// What was stored of a conversation by an instant. Bodies are read as they are needed: of a long call there may
/// be a thousand versions.
pub(super) struct Past<'a> {
    store: &'a dyn Store,
    conversation: &'a ConversationId,
    /// Oldest first, at least one.
    versions: Vec<Digests>,
}

/// One version with its documents.
pub(super) struct Version(Snapshot);

// === impl Past ===

impl<'a> Past<'a> {
    /// What was stored by `at`; by now, without one.
    pub(super) async fn open(
        store: &'a dyn Store,
        conversation: &'a ConversationId,
        at: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let mut versions = store.snapshots(conversation).await?;
        let Some(first_seen) = versions.first().map(|version| version.taken_at) else {
            let heard_of = store.resolve(conversation.as_str()).await?.as_ref() == Some(conversation);
            return Err(if heard_of { Refusal::NeverSeen } else { Refusal::NoConversation }.into());
        };
        versions.retain(|version| at.is_none_or(|at| version.taken_at <= at));
        if versions.is_empty() {
            return Err(Refusal::NotSeenYet { first_seen }.into());
        }
        Ok(Self { store, conversation, versions })
    }

    /// The newest version for which this holds.
    pub(super) async fn newest(
        &self,
        holds: impl Fn(&Version) -> bool + Send + Sync,
    ) -> Result<Option<Version>, StoreError> {
        for digests in self.versions.iter().rev() {
            let version = self.version(digests).await?;
            if let Some(version) = version.filter(&holds) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// The versions that hold a part of the event list, oldest first.
    pub(super) async fn with_events(&self) -> Result<Vec<Version>, StoreError> {
        let has_events = |digests: &&Digests| {
            digests.documents.iter().any(|(name, ..)| matches!(name, DocumentName::Events { .. }))
        };
        let mut versions = Vec::new();
        for digests in self.versions.iter().filter(has_events) {
            versions.extend(self.version(digests).await?);
        }
        Ok(versions)
    }

    /// `None` when it was removed in the meantime.
    async fn version(&self, digests: &Digests) -> Result<Option<Version>, StoreError> {
        Ok(self.store.snapshot(self.conversation, digests.number).await?.map(Version))
    }
}

// === impl Version ===

impl Version {
    /// The family it was asked in.
    pub(super) fn family(&self) -> &str {
        &self.0.sighting.family
    }

    /// Whether it was asked in this family.
    pub(super) fn is_in(&self, family: Family) -> bool {
        self.family() == family.as_str()
    }

    /// The conversation's own document.
    pub(super) fn conversation(&self) -> Option<&Document> {
        self.document(&DocumentName::Conversation)
    }

    /// The document of this name.
    fn document(&self, name: &DocumentName) -> Option<&Document> {
        self.documents().find(|document| document.name == *name)
    }

    /// The pages of the event list in it.
    pub(super) fn event_pages(&self) -> impl Iterator<Item = &Document> {
        self.documents().filter(|document| matches!(document.name, DocumentName::Events { .. }))
    }

    /// The pages of the list of members in it.
    pub(super) fn member_pages(&self) -> impl Iterator<Item = &Document> {
        self.documents().filter(|document| matches!(document.name, DocumentName::Members(_)))
    }

    /// Whether it holds a list of members.
    pub(super) fn lists_members(&self) -> bool {
        self.member_pages().next().is_some()
    }

    /// The members as its list has them, in short form.
    pub(super) fn listed_members(&self) -> Vec<MemberDocument> {
        self.member_pages()
            .filter_map(|page| MembersPage::read(&page.body))
            .flat_map(|page| page.members)
            .collect()
    }

    /// The members inside its conversation's document; `None` when they are not there.
    pub(super) fn embedded_members(&self) -> Option<Vec<MemberDocument>> {
        ConversationDocument::read(&self.conversation()?.body)?.members()
    }

    /// Every member of its list as it was read by itself; `None` unless each of them was.
    pub(super) fn members_one_by_one(&self) -> Option<Vec<MemberDocument>> {
        let members = self.listed_members();
        members.iter().map(|member| MemberDocument::read(&self.member(&member.id()?)?.body)).collect()
    }

    /// The member's own document.
    pub(super) fn member(&self, id: &MemberId) -> Option<&Document> {
        self.document(&DocumentName::Member(id.clone()))
    }

    fn documents(&self) -> impl Iterator<Item = &Document> {
        self.0.sighting.documents.iter()
    }
}
