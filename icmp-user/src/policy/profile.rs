//! The policies that ship inside the program.
//!
//! A profile is a TOML file of the same form as a policy, whose every rule names its source. It may
//! start from another profile (`base`): a rule of a name that the base has replaces that one.

use super::document::{self, Document, WrittenRule};
use super::error::Findings;
use super::{CheckMode, CheckedPolicy, Groups, Layer, check};
use icmp_common::verdict::{Mode, Reason};
use std::collections::BTreeMap;

/// A profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A machine that forwards nothing.
    Host,
    /// A machine that forwards, and is a host itself.
    Router,
    /// A host that answers nobody but its monitors.
    Strict,
    /// A host that only counts.
    Observe,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Host, Self::Router, Self::Strict, Self::Observe];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Router => "router",
            Self::Strict => "strict",
            Self::Observe => "observe",
        }
    }

    /// The profile of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Its file.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Host => include_str!("profiles/host.toml"),
            Self::Router => include_str!("profiles/router.toml"),
            Self::Strict => include_str!("profiles/strict.toml"),
            Self::Observe => include_str!("profiles/observe.toml"),
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn description(self) -> String {
        document::read(self.text(), Layer::Profile).description.unwrap_or_default()
    }
}

/// The policy that is a bare profile: what a machine has that is given no file.
#[must_use]
pub fn profile(profile: Profile) -> CheckedPolicy {
    check::assemble(
        profile.name(),
        template(profile),
        Document {
            profile: Some(profile),
            description: None,
            mode: None,
            checks: Vec::new(),
            keys: None,
            speeds: BTreeMap::new(),
            routers: Vec::new(),
            idle_keys: Vec::new(),
            groups: Groups::default(),
            zones: Vec::new(),
            rules: Vec::new(),
            written_rules: 0,
            findings: Findings::default(),
        },
    )
}

/// A profile, its base included, before it meets a policy.
#[derive(Debug)]
pub(super) struct Template {
    pub profile: Profile,
    pub mode: Option<Mode>,
    pub checks: Vec<(Reason, CheckMode)>,
    pub rules: Vec<WrittenRule>,
}

/// Reads a profile.
pub(super) fn template(profile: Profile) -> Template {
    let text = profile.text();
    let mut document = document::read(text, Layer::Profile);
    let findings = std::mem::take(&mut document.findings);
    // The text is a constant of the program and a test reads each: this can't be the operator's
    // fault, and there is nothing to go on with.
    assert!(findings.is_empty(), "{}", findings.resolve(profile.name(), text));
    check::number_lines(text, &mut document.rules);
    let mut template = match document.profile {
        Some(base) => template(base),
        None => Template { profile, mode: None, checks: Vec::new(), rules: Vec::new() },
    };
    template.profile = profile;
    template.mode = document.mode.or(template.mode);
    template.checks.extend(document.checks);
    for mut rule in document.rules {
        rule.rule.profile = Some(profile);
        match template.rules.iter_mut().find(|r| r.rule.name == rule.rule.name) {
            Some(slot) => *slot = rule,
            None => template.rules.push(rule),
        }
    }
    template
}
