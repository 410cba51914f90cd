//! What a profile says and this version doesn't do yet.
//!
//! Profiles are written whole. A rule keeps what isn't in force beside what is, so that a version
//! that learns to do it changes [`Rule::effect`](super::Rule::effect), `compile` and this list, and
//! no profile.

use super::Rule;
use std::fmt;

/// A part of a rule that isn't in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inert {
    /// The rule: an index of [`CheckedPolicy::rules`](super::CheckedPolicy::rules).
    pub rule: usize,
    /// What of it.
    pub what: InertKind,
}

/// What isn't in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InertKind {
    /// What the rule spares.
    Exceptions,
}

impl InertKind {
    const ALL: [Self; 1] = [Self::Exceptions];

    /// What it is, in the plural.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Exceptions => "exceptions",
        }
    }
}

impl fmt::Display for InertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What of these rules isn't in force: each kind once a rule.
pub(super) fn of(rules: &[Rule]) -> Vec<Inert> {
    rules
        .iter()
        .enumerate()
        .flat_map(|(index, rule)| {
            InertKind::ALL
                .into_iter()
                .filter(|kind| has(rule, *kind))
                .map(move |what| Inert { rule: index, what })
        })
        .collect()
}

fn has(rule: &Rule, kind: InertKind) -> bool {
    match kind {
        InertKind::Exceptions => rule.inert_exceptions().next().is_some(),
    }
}

/// What isn't in force, as one line; `None` where everything is.
#[must_use]
pub fn note(inert: &[Inert]) -> Option<String> {
    let parts: Vec<String> = InertKind::ALL
        .into_iter()
        .filter_map(|kind| match inert.iter().filter(|i| i.what == kind).count() {
            0 => None,
            1 => Some(format!("{kind} (1 rule)")),
            n => Some(format!("{kind} ({n} rules)")),
        })
        .collect();
    (!parts.is_empty()).then(|| {
        let parts = parts.join(", ");
        format!("this version does not yet do all that the policy says; not in force: {parts}")
    })
}
