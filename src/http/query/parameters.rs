//! The parameters of a question. One that is not known is refused: a misspelt filter must not look like an answer.

use axum::extract::{FromRequestParts, Query as Decoded};
use axum::http::request::Parts;

use super::super::problem::Problem;

/// What stands behind the `?`, in its order. Each is taken by its name, and then none may be left.
#[derive(Debug, Clone)]
pub(in crate::http) struct Parameters {
    left: Vec<(String, String)>,
    names: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Decoded(left) = Decoded::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::bad_request("the query string is not UTF-8 after percent-decoding"))?;
        Ok(Self { left, names: Vec::new() })
    }
}

impl Parameters {
    /// The value of a parameter. An empty one is none: it is what a form sends for a field that was left out.
    pub(super) fn take(&mut self, name: &'static str) -> Option<String> {
        self.names.push(name);
        let at = self.left.iter().position(|(found, _)| found == name)?;
        Some(self.left.remove(at).1).filter(|value| !value.is_empty())
    }

    /// All of those that are left, under these names.
    pub(super) fn take_all(&mut self, names: &[&'static str]) -> Vec<(String, String)> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.take(name)?))).collect()
    }

    /// Refuses what was not taken: what nobody knows, and what is there twice.
    pub(in crate::http) fn finish(self) -> Result<(), Problem> {
        let known = || {
            if self.names.is_empty() { "none".to_owned() } else { self.names.join(", ") }
        };
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) if self.names.contains(&name.as_str()) => {
                Err(Problem::bad_request("a parameter is there twice; each can be given once"))
            }
            Some(_) => Err(Problem::bad_request(format!(
                "a parameter is not known here; the parameters of this path are: {}",
                known()
            ))),
        }
    }
}
