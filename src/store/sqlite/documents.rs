//! Bodies that are stored once, however many rows hold them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::query;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::rows::Table;
use super::{StoreError, json};
use crate::domain::digest::Digest;

/// zstd's own default: a document is some kilobytes, and higher levels gain little on so few.
const COMPRESSION_LEVEL: i32 = 3;

const TABLE: Table = Table("documents");

/// The row of the body with this digest: the one that is there already, or a new one.
pub(super) async fn id_of(
    connection: &mut SqliteConnection,
    digest: Digest,
    body: &[u8],
) -> Result<i64, StoreError> {
    let known = query("SELECT id FROM documents WHERE digest = ?")
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = known {
        return TABLE.get(&row, "id");
    }
    let compressed = zstd::bulk::compress(body, COMPRESSION_LEVEL)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let row = query("INSERT INTO documents (digest, size, body) VALUES (?, ?, ?) RETURNING id")
        .bind(digest.as_bytes().as_slice())
        .bind(i64::try_from(body.len()).unwrap_or(i64::MAX))
        .bind(compressed)
        .fetch_one(connection)
        .await?;
    TABLE.get(&row, "id")
}

/// A body as it was before it was compressed.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) digest: Digest,
    pub(super) bytes: Arc<[u8]>,
}

/// These documents' bodies, by id. They are decompressed and checked beside the runtime's threads:
/// a long conference has thousands.
pub(super) async fn bodies(
    connection: &mut SqliteConnection,
    ids: &BTreeSet<i64>,
) -> Result<HashMap<i64, Body>, StoreError> {
    let ids: Vec<i64> = ids.iter().copied().collect();
    let rows = query("SELECT * FROM documents WHERE id IN (SELECT value FROM json_each(?))")
        .bind(json(&ids))
        .fetch_all(connection)
        .await?;
    let reading = tokio::task::spawn_blocking(move || rows.iter().map(checked).collect());
    reading.await.expect("reading a body does not panic")
}

fn checked(row: &SqliteRow) -> Result<(i64, Body), StoreError> {
    let digest = Digest::from_bytes(TABLE.get(row, "digest")?).ok_or(TABLE.corrupt("digest"))?;
    let bytes = body(row)?.filter(|bytes| Digest::of(bytes) == digest).ok_or(TABLE.corrupt("body"))?;
    Ok((TABLE.get(row, "id")?, Body { digest, bytes: bytes.into() }))
}

/// The body in a row that has the columns `size` and `body`, if there is one.
pub(super) fn body(row: &SqliteRow) -> Result<Option<Vec<u8>>, StoreError> {
    let size: Option<i64> = TABLE.get(row, "size")?;
    let Some(size) = size else { return Ok(None) };
    let capacity = usize::try_from(size).map_err(|_| TABLE.corrupt("size"))?;
    let body = zstd::bulk::decompress(TABLE.get(row, "body")?, capacity);
    body.map(Some).map_err(|_| TABLE.corrupt("body"))
}
