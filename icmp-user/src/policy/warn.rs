//! What holds and yet hardly does what its author meant: said by `check`, and no mistake.

use super::decide::{self, Decider};
use super::{CheckMode, CheckedPolicy, Effect, Hook, Layer, Rule, compile::CompileError};
use icmp_common::abi::{RULE_NONE, family, fragment};
use icmp_common::classify::{code_ignored, is_error, type_name};
use icmp_common::verdict::Mode;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Something to look at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The rule.
    pub rule: String,
    /// The line that its header stands on.
    pub line: usize,
    /// What about it, as a sentence without its full stop.
    pub message: String,
}

/// Everything about a policy that is worth a second look, in the order of its rules.
#[must_use]
pub fn warnings(policy: &CheckedPolicy) -> Vec<Warning> {
    let own = |rule: &&Rule| rule.layer == Layer::Operator;
    let mut found: Vec<Warning> =
        policy.rules.iter().filter(own).filter_map(ignored_code).collect();
    found.extend(policy.rules.iter().filter(own).flat_map(|rule| idle_checks(policy, rule)));
    // A policy that is too large has that as its mistake.
    let let_through: BTreeMap<usize, BTreeSet<usize>> =
        Hook::ALL.into_iter().filter_map(|h| let_through(policy, h).ok()).flatten().collect();
    found.extend(let_through.iter().map(|(observed, drops)| {
        let observed = &policy.rules[*observed];
        let names: Vec<String> =
            drops.iter().map(|i| format!("`{}`", policy.rules[*i].name)).collect();
        let (rules, drop) = if names.len() == 1 { ("rule", "drops") } else { ("rules", "drop") };
        warning(
            observed,
            format!(
                "rule `{}` only observes, and takes the place of {rules} {} of the profile, which \
                 {drop}: what was dropped passes",
                observed.name,
                names.join(", ")
            ),
        )
    }));
    found.sort_by_key(|warning| warning.line);
    found
}

fn warning(rule: &Rule, message: String) -> Warning {
    Warning { rule: rule.name.clone(), line: rule.line, message }
}

/// A rule for a code other than 0 of a type whose code receivers ignore: every code of it is taken
/// as 0.
fn ignored_code(rule: &Rule) -> Option<Warning> {
    let (family, types) = (rule.pattern.family?, rule.pattern.types.as_ref()?);
    if rule.pattern.codes.as_ref()?.contains(0) {
        return None;
    }
    let all: Vec<u8> = (0..=u8::MAX).filter(|ty| types.contains(*ty)).collect();
    let ignored: Vec<u8> = all.iter().copied().filter(|ty| code_ignored(family, *ty)).collect();
    if ignored.is_empty() {
        return None;
    }
    let named: Vec<String> =
        ignored.iter().map(|ty| format!("{ty} ({})", type_name(family, *ty))).collect();
    let (name, named) = (&rule.name, named.join(", "));
    let what = if ignored.len() == all.len() {
        format!("rule `{name}` never matches")
    } else {
        format!("rule `{name}` never matches type {named}")
    };
    let of = if ignored.len() == all.len() { format!(" of type {named}") } else { String::new() };
    Some(warning(rule, format!("{what}: receivers ignore the code{of}, so each is taken as 0")))
}

/// Checks that a rule asks for and that come to nothing.
fn idle_checks(policy: &CheckedPolicy, rule: &Rule) -> Vec<Warning> {
    let pattern = &rule.pattern;
    let about_errors = !pattern.is_later_fragment()
        && family::ALL.into_iter().any(|f| {
            (0..=u8::MAX).any(|ty| {
                pattern.family.is_none_or(|family| family == f)
                    && pattern.types.as_ref().is_none_or(|types| types.contains(ty))
                    && is_error(f, ty)
            })
        });
    let why = |fault| match policy.checks.get(fault) {
        CheckMode::Off => Some("which [checks] sets to `off`"),
        _ if !about_errors => Some("which is about errors, and matches none"),
        _ => None,
    };
    rule.checks_in_force()
        .filter_map(|fault| {
            let (name, check) = (&rule.name, fault.label());
            let why = why(fault)?;
            Some(warning(rule, format!("rule `{name}` asks for the check `{check}`, {why}")))
        })
        .collect()
}

/// The operator's rules that observe a drop or a limit where, without them, a rule of the profile
/// would have dropped in earnest: for each, those rules. By index of the policy's rules.
///
/// Both tables are made, the one with those rules and the one without, and compared place by place:
/// whether patterns overlap says little, since a rule between them may decide.
fn let_through(
    policy: &CheckedPolicy,
    hook: Hook,
) -> Result<BTreeMap<usize, BTreeSet<usize>>, CompileError> {
    let mut found: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let all: Vec<usize> =
        (0..policy.rules.len()).filter(|i| policy.rules[*i].pattern.hook() == hook).collect();
    let observes = |i: &usize| {
        let rule = &policy.rules[*i];
        rule.layer == Layer::Operator && rule.mode == Mode::Observe && rule.effect() != Effect::Pass
    };
    let others: Vec<usize> = all.iter().copied().filter(|i| !observes(i)).collect();
    if policy.mode == Mode::Observe || others.len() == all.len() {
        return Ok(found);
    }
    let drops = |i: usize| {
        let rule = &policy.rules[i];
        rule.layer == Layer::Profile
            && rule.mode == Mode::Enforce
            && matches!(rule.effect(), Effect::Drop(_))
    };

    let rules: Vec<&Rule> = all.iter().map(|i| &policy.rules[*i]).collect();
    let rest: Vec<&Rule> = others.iter().map(|i| &policy.rules[*i]).collect();
    let mut names: Vec<&String> =
        rules.iter().filter_map(|r| r.pattern.interface.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    let interfaces: Vec<Option<String>> =
        std::iter::once(None).chain(names.into_iter().cloned().map(Some)).collect();
    let chains = policy.compile_zones(&rules).chains;
    // The same for both, so that a place means the same packets.
    let dimensions = || decide::dimensions(&rules, chains.clone(), interfaces.clone());
    let by_fragment = dimensions().fragments > 1;
    let per_fragment = dimensions().contexts() / dimensions().fragments;
    let mut with = Decider::new(&rules, dimensions())?;
    let mut without = Decider::new(&rest, dimensions())?;

    // Each pair of rows, and whether it is of what has a header, which later fragments have not.
    let mut rows: HashSet<(u16, u16, bool)> = HashSet::new();
    for f in family::ALL {
        rows.insert((with.headerless(f)?, without.headerless(f)?, false));
        for ty in 0..=u8::MAX {
            let (with, without) = (with.codes(f, ty)?, without.codes(f, ty)?);
            let codes = if code_ignored(f, ty) { 1 } else { with.len() };
            rows.extend(with.iter().zip(&without).take(codes).map(|(a, b)| (*a, *b, true)));
        }
    }
    for (a, b, header) in rows {
        let pairs = with.decisions(a).iter().zip(without.decisions(b)).enumerate();
        for (place, (a, b)) in pairs {
            let later = by_fragment && place / per_fragment == usize::from(fragment::LATER);
            if (header && later) || *a == RULE_NONE || *b == RULE_NONE {
                continue;
            }
            let (now, before) = (all[usize::from(*a)], others[usize::from(*b)]);
            if observes(&now) && drops(before) {
                found.entry(now).or_default().insert(before);
            }
        }
    }
    Ok(found)
}
