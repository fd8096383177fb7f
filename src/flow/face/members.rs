//! The list of members, and one of them.

use serde_json::Value;

use super::asked::Asked;
use super::past::{Past, Version};
use super::refusal::Refusal;
use super::{Failure, derived};
use crate::domain::ids::MemberId;
use crate::vonage::document::{MemberDocument, MembersPage};
use crate::vonage::shape::{self, List, Place, Untold};

/// A page of the list.
pub(super) async fn list(past: &Past<'_>, asked: &Asked, place: Place<'_>) -> Result<Vec<u8>, Failure> {
    let tells = |version: &Version| version.lists_members() || version.embedded_members().is_some();
    let version = past.newest(tells).await?.ok_or(Refusal::MembersNotRead)?;
    let is_as_asked = version.is_in(place.family) && version.lists_members();
    if let Some(page) = only_page(&version).filter(|_| is_as_asked && !asked.page.is_chosen()) {
        return Ok(page);
    }
    let members = if version.lists_members() {
        version.listed_members()
    } else {
        version.embedded_members().unwrap_or_default()
    };
    let items: Result<Vec<Value>, Untold> = if is_as_asked {
        Ok(members.iter().map(|member| Value::Object(member.json().clone())).collect())
    } else {
        members.iter().map(|member| shape::listed_member(member, place)).collect()
    };
    match items {
        Ok(items) => asked.cut(List::Members, items, place),
        Err(untold) => derived(Err(untold), &version),
    }
}

/// The list's page, where it was stored on one that names no other.
fn only_page(version: &Version) -> Option<Vec<u8>> {
    let mut pages = version.member_pages();
    let page = pages.next()?;
    let is_whole = pages.next().is_none() && MembersPage::read(&page.body)?.next.is_none();
    is_whole.then(|| page.body.to_vec())
}

/// One member.
pub(super) async fn one(past: &Past<'_>, id: &MemberId, place: Place<'_>) -> Result<Vec<u8>, Failure> {
    let is_told = |version: &Version| version.member(id).is_some() || embedded(version, id).is_some();
    let is_listed = |version: &Version| listed(version, id).is_some();
    let version = match past.newest(is_told).await? {
        Some(version) => version,
        // One that was gone when it was asked for is known from the list only.
        None => past.newest(is_listed).await?.ok_or(Refusal::NoMember)?,
    };
    if let Some(stored) = version.member(id).filter(|_| version.is_in(place.family)) {
        return Ok(stored.body.to_vec());
    }
    let own = version.member(id).and_then(|stored| MemberDocument::read(&stored.body));
    let member = own.or_else(|| embedded(&version, id)).or_else(|| listed(&version, id));
    derived(shape::member(&member.ok_or(Refusal::NoMember)?, place), &version)
}

fn embedded(version: &Version, id: &MemberId) -> Option<MemberDocument> {
    version.embedded_members()?.into_iter().find(|member| member.id().as_ref() == Some(id))
}

fn listed(version: &Version, id: &MemberId) -> Option<MemberDocument> {
    version.listed_members().into_iter().find(|member| member.id().as_ref() == Some(id))
}
