//! Bodies that are stored once, however many rows hold them.

use sqlx::query;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::StoreError;
use super::rows::Table;
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

/// The body in a row that has the columns `size` and `body`, if there is one.
pub(super) fn body(row: &SqliteRow) -> Result<Option<Vec<u8>>, StoreError> {
    let size: Option<i64> = TABLE.get(row, "size")?;
    let Some(size) = size else { return Ok(None) };
    let capacity = usize::try_from(size).map_err(|_| TABLE.corrupt("size"))?;
    let body = zstd::bulk::decompress(TABLE.get(row, "body")?, capacity);
    body.map(Some).map_err(|_| TABLE.corrupt("body"))
}
