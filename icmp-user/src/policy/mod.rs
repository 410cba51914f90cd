//! From TOML to map entries: what the operator wrote, what it means, and what the kernel is given.
//!
//! The steps are apart, and each has a file:
//!
//! 1. `source` reads the file; `syntax` parses it; `document`, `rule`, `message`, `limit`, `share`,
//!    `groups` and `answer` turn it into rules and zones, and note every mistake with its place instead of stopping at the
//!    first.
//! 2. `check` lays the file over its profile and looks at it as a whole: names, zones, rules that
//!    would tie. What comes out is a [`CheckedPolicy`], and nothing after that can be the file's
//!    fault but its size.
//! 3. `compile` makes the decision table, the zone sets and the buckets from it.
//!
//! Nothing here touches the kernel: what depends on it (the length of a tick, the classes and
//! buckets already in use, the interfaces by their index) is passed in as a [`CompileContext`].

mod answer;
mod check;
mod compile;
mod decide;
mod document;
mod error;
mod groups;
mod limit;
mod limits;
mod message;
mod model;
mod penalty;
mod precedence;
mod profile;
mod reader;
mod registry;
mod rule;
mod share;
mod source;
mod syntax;
mod table;
mod values;
mod warn;
mod zone;

#[cfg(test)]
mod tests;

pub use compile::{CompileContext, CompileError, Compiled, HookTable};
pub use error::{Place, PolicyError, PolicyErrors};
pub use groups::{FixedGroup, Gate, Groups};
pub use limits::{LimitPlace, LimitUse};
pub use model::{
    Action, CheckMode, CheckedPolicy, Checks, Effect, Every, Hook, Key, Layer, Pace, Pattern,
    Penalty, RateLimit, Rule, RuleCheck, UnknownFlow, Zone,
};
pub use profile::{Profile, profile};
pub use source::MAX_FILE;
pub use table::{Difference, TableLine, diff, rows};
pub use values::{Values, ValuesItem};
pub use warn::{Warning, warnings};

use std::path::Path;

/// Reads, parses and checks a policy file.
///
/// # Errors
/// Every mistake in it, each with its place.
pub fn load(path: &Path) -> Result<CheckedPolicy, PolicyErrors> {
    let name = path.display().to_string();
    let text = source::read(path).map_err(|error| PolicyErrors::of_file(&name, error))?;
    let mut policy = from_str(&name, &text)?;
    policy.path = Some(path.to_path_buf());
    policy.text = Some(text);
    Ok(policy)
}

/// Parses and checks a policy that is already text; `name` stands for the file in messages.
///
/// # Errors
/// Every mistake in it, each with its place.
pub fn from_str(name: &str, text: &str) -> Result<CheckedPolicy, PolicyErrors> {
    check::operator(name, text)
}
