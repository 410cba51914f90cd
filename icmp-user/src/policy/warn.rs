//! What holds and yet hardly does what its author meant: said by `check`, and no mistake.

use super::decide::{self, Decider, Dimensions};
use super::{
    CheckMode, CheckedPolicy, Effect, Hook, Layer, Rule, RuleCheck, UnknownFlow, Values,
    compile::CompileError,
};
use icmp_common::abi::{RULE_NONE, family, fragment};
use icmp_common::classify::{code_ignored, is_error, type_name};
use icmp_common::link::{self, Kind};
use icmp_common::redirect::is_redirect;
use icmp_common::verdict::{BY_ROUTES, Mode, Reason, enforceable};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Something to look at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The rule; `None` where it is about none.
    pub rule: Option<String>,
    /// The line that the rule's header stands on, or the key that it is about.
    pub line: usize,
    /// What about it, as a sentence without its full stop.
    pub message: String,
}

/// Everything about a policy that is worth a second look, by line.
#[must_use]
pub fn warnings(policy: &CheckedPolicy) -> Vec<Warning> {
    let own = |rule: &&Rule| rule.layer == Layer::Operator;
    let mut found: Vec<Warning> =
        policy.rules.iter().filter(own).filter_map(ignored_code).collect();
    found.extend(policy.rules.iter().filter(own).flat_map(|rule| idle_checks(policy, rule)));
    found.extend(policy.rules.iter().filter(own).filter_map(|rule| idle_flow(policy, rule)));
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
    found.extend(Hook::ALL.into_iter().filter_map(|h| needed(policy, h).ok()).flatten());
    found.extend(policy.idle_keys.iter().map(idle_key));
    found.sort_by_key(|warning| warning.line);
    found
}

fn warning(rule: &Rule, message: String) -> Warning {
    Warning { rule: Some(rule.name.clone()), line: rule.line, message }
}

/// A key that says how to gate, where nothing is gated.
fn idle_key((key, line): &(&str, usize)) -> Warning {
    let message = format!(
        "`{key}` of [groups] comes to nothing without `gate`: multicast leaves by every interface"
    );
    Warning { rule: None, line: *line, message }
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

/// Checks that a rule names and that come to nothing.
fn idle_checks(policy: &CheckedPolicy, rule: &Rule) -> Vec<Warning> {
    let pattern = &rule.pattern;
    let finds = |fault: Reason| {
        let can = enforceable(pattern.hook().index()) & fault.bit() != 0;
        can && pattern.matches_any(|family, ty| can_have(fault, family, ty))
    };
    let why = |fault, mode: Option<CheckMode>| match policy.checks.get(fault) {
        CheckMode::Off if mode.is_none() => Some("which [checks] sets to `off`"),
        _ if !finds(fault) => Some("which is about none of what it matches"),
        _ => None,
    };
    rule.checks
        .iter()
        .filter_map(|RuleCheck { fault, mode }| {
            let (name, check) = (&rule.name, fault.label());
            let why = why(*fault, *mode)?;
            Some(warning(rule, format!("rule `{name}` names the check `{check}`, {why}")))
        })
        .collect()
}

/// A rule that says what becomes of unknown flows, and is about packets of which no flow is asked.
fn idle_flow(policy: &CheckedPolicy, rule: &Rule) -> Option<Warning> {
    rule.unknown_flow.as_ref()?;
    let name = &rule.name;
    (!rule.asks_flow(&policy.checks.under(rule))).then(|| {
        warning(
            rule,
            format!(
                "rule `{name}` says what becomes of unknown flows, and asks for none in transit: name the \
                 check `flow-contradicted` for that"
            ),
        )
    })
}

/// Whether a message of this type can have a fault that a rule can name.
fn can_have(fault: Reason, family: u8, ty: u8) -> bool {
    let kind = link::kind(family, ty);
    match fault {
        Reason::HOP_LIMIT => matches!(kind, Some(Kind::Neighbours | Kind::Membership)),
        Reason::ROUTER_ALERT | Reason::GROUP_ADDRESS | Reason::GROUP_SOURCE => {
            kind == Some(Kind::Membership)
        }
        Reason::DISCOVERY_MESSAGE | Reason::DISCOVERY_ADDRESS | Reason::FRAGMENTED_DISCOVERY => {
            kind == Some(Kind::Neighbours)
        }
        Reason::ROUTER_ADVERTISEMENT => kind == Some(Kind::Routers),
        Reason::ROUTER_UNLISTED => link::advertises_router(family, ty),
        fault if BY_ROUTES & fault.bit() != 0 => is_redirect(family, ty),
        _ => is_error(family, ty),
    }
}

/// A message that others break without.
struct Needed {
    family: u8,
    ty: u8,
    code: u8,
    name: &'static str,
    /// For what, and by which document.
    by: &'static str,
    /// Whether to be limited along with others breaks it, too.
    alone: bool,
}

/// By which path MTU discovery works.
const MTU: &str = "path MTU discovery (RFC 1191, RFC 8201)";
/// By which hosts on an IPv6 link find each other.
const NEIGHBOURS: &str = "neighbour discovery (RFC 4861)";

const NEEDED: [Needed; 4] = [
    Needed::of((family::ICMPV4, 3, 4), "fragmentation-needed", MTU, true),
    Needed::of((family::ICMPV6, 2, 0), "packet-too-big", MTU, true),
    Needed::of((family::ICMPV6, 135, 0), "neighbor-solicitation", NEIGHBOURS, false),
    Needed::of((family::ICMPV6, 136, 0), "neighbor-advertisement", NEIGHBOURS, false),
];

impl Needed {
    const fn of(
        (family, ty, code): (u8, u8, u8),
        name: &'static str,
        by: &'static str,
        alone: bool,
    ) -> Self {
        Self { family, ty, code, name, by, alone }
    }
}

/// The operator's rules of a hook that take in, beside what they are for, what the profile keeps apart
/// because others break without it. A rule that names just that is taken at its word.
fn needed(policy: &CheckedPolicy, hook: Hook) -> Result<Vec<Warning>, CompileError> {
    if policy.mode == Mode::Observe {
        return Ok(Vec::new());
    }
    let rules: Vec<&Rule> = policy.rules.iter().filter(|r| r.pattern.hook() == hook).collect();
    let dimensions = places(policy, &rules);
    let by_fragment = dimensions.fragments > 1;
    let per_fragment = dimensions.contexts() / dimensions.fragments;
    let mut decider = Decider::new(&rules, dimensions)?;
    let mut found = Vec::new();
    for needed in &NEEDED {
        let row = decider.codes(needed.family, needed.ty)?[usize::from(needed.code)];
        let later =
            |place: usize| by_fragment && place / per_fragment == usize::from(fragment::LATER);
        let places = decider.decisions(row).iter().enumerate();
        let deciding: BTreeSet<u16> =
            places.filter(|(place, _)| !later(*place)).map(|(_, rule)| *rule).collect();
        for rule in deciding.iter().filter_map(|number| rules.get(usize::from(*number))) {
            let single = |values: Option<&Values>| values.and_then(Values::single);
            let is_named = single(rule.pattern.types.as_ref()) == Some(needed.ty)
                && (!needed.alone
                    || code_ignored(needed.family, needed.ty)
                    || single(rule.pattern.codes.as_ref()) == Some(needed.code));
            if rule.layer != Layer::Operator || rule.mode == Mode::Observe || is_named {
                continue;
            }
            let does = match rule.effect() {
                Effect::Drop(_) => "drops",
                _ if needed.alone && rule.unknown_flow == Some(UnknownFlow::Drop) => {
                    "drops, of unknown flows,"
                }
                Effect::Limit(limits) if needed.alone && limits.iter().all(|l| !l.reserve) => {
                    "limits along with others"
                }
                _ => continue,
            };
            let (name, Needed { name: message, by, .. }) = (&rule.name, needed);
            found.push(warning(
                rule,
                format!(
                    "rule `{name}` {does} `{message}`, which the profile keeps apart: {by} breaks \
                     without it"
                ),
            ));
        }
    }
    Ok(found)
}

/// All that rules tell apart but the message.
fn places(policy: &CheckedPolicy, rules: &[&Rule]) -> Dimensions {
    let mut names: Vec<&String> =
        rules.iter().filter_map(|r| r.pattern.interface.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    let interfaces = std::iter::once(None).chain(names.into_iter().cloned().map(Some)).collect();
    decide::dimensions(rules, policy.compile_zones(rules).chains, interfaces)
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
            && matches!(rule.effect(), Effect::Drop(_) | Effect::Verify(_))
    };

    let rules: Vec<&Rule> = all.iter().map(|i| &policy.rules[*i]).collect();
    let rest: Vec<&Rule> = others.iter().map(|i| &policy.rules[*i]).collect();
    // The same for both, so that a place means the same packets.
    let dimensions = places(policy, &rules);
    let by_fragment = dimensions.fragments > 1;
    let per_fragment = dimensions.contexts() / dimensions.fragments;
    let mut with = Decider::new(&rules, dimensions.clone())?;
    let mut without = Decider::new(&rest, dimensions)?;

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
