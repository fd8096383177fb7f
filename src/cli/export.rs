//! `export`: everything that a filter lets through, for other programs.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http_body_util::BodyExt;

use super::Failure;
use super::reader::{Filters, ask};
use crate::config::Reading;
use crate::store::is_file_of;

/// Write all conversations that a filter lets through as a table or as lines of JSON.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    filters: Filters,
    /// A table for spreadsheets, or a JSON object on each line.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Lines of JSON: the same as --format ndjson.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Where to; without it, to the standard output. The file is there when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

impl Export {
    /// Writes the lines as they come.
    pub(super) async fn run(self, reading: Reading) -> Result<(), Failure> {
        // Before anything is read: the file would take the store's place.
        if let Some(output) = self.output.as_deref().filter(|output| is_file_of(output, &reading.store)) {
            return Err(Failure::Usage(format!(
                "--output {} is one of the store's own files: name another",
                output.display()
            )));
        }
        let format = if self.json || self.format == Format::Ndjson { "ndjson" } else { "csv" };
        let query = self.filters.query(&[("format", format)]);
        let body = ask(&reading, &format!("/v1/conversations?{query}")).await?;
        let Some(output) = self.output else {
            return match copy(body, std::io::stdout().lock()).await {
                // Whoever reads has read enough.
                Err(Failure::System(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                outcome => outcome,
            };
        };
        // A pipe or a device takes what it is given; a file of that name must not take its place.
        if fs::metadata(&output).is_ok_and(|there| !there.is_file()) {
            return copy(body, File::options().write(true).open(&output)?).await;
        }
        // Where a link leads, and not in its place.
        let output = fs::canonicalize(&output).unwrap_or(output);
        let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::NamedTempFile::new_in(directory.unwrap_or(".".as_ref()))?;
        copy(body, file.as_file()).await?;
        file.as_file().sync_all()?;
        let file: File = file.persist(&output).map_err(|error| error.error)?;
        drop(file);
        Ok(())
    }
}

async fn copy(mut body: axum::body::Body, mut to: impl Write) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Failed(format!("the export broke off: {error}")))?;
        if let Ok(data) = frame.into_data() {
            to.write_all(&data)?;
        }
    }
    Ok(to.flush()?)
}
