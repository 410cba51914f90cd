//! The effective table: what a policy comes to, rule by rule, for people and for programs.

use super::compile::HookTable;
use super::precedence::Rank;
use super::{
    CheckedPolicy, CompileContext, Effect, Hook, Layer, Pace, Penalty, RateLimit, Rule,
    UnknownFlow, Values, ValuesItem, answer,
};
use icmp_common::abi::{destination, family, fragment, origin};
use icmp_common::answer::Error;
use icmp_common::bucket::Unit;
use icmp_common::classify::{code_name, type_by_name, type_name};
use icmp_common::verdict::Mode;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// A rule as the table shows it. What it doesn't name is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableLine {
    /// The rule's name.
    pub rule: String,
    /// The hook.
    pub hook: &'static str,
    /// The family.
    pub family: Option<&'static str>,
    /// The types, as numbers, with the name where there is one type.
    pub types: Option<String>,
    /// The codes, likewise.
    pub codes: Option<String>,
    /// `pass`, `drop`, `limit`, `reject`, `reply` or `verify-redirect`.
    pub action: &'static str,
    /// The reason of a drop.
    pub reason: Option<&'static str>,
    /// What a rule that rejects answers with.
    pub answer: Option<String>,
    /// The limits in force.
    pub limit: Option<String>,
    /// The checks that it names, and what is done about what they find.
    pub checks: BTreeMap<&'static str, &'static str>,
    /// What becomes of what it matches and whose flow is unknown: `drop`, or its limit.
    pub unknown_flow: Option<String>,
    /// When it boxes a source.
    pub penalty: Option<String>,
    /// `enforce` or `observe`, the policy's own mode included.
    pub mode: &'static str,
    /// The zone.
    pub zone: Option<String>,
    /// The interface.
    pub interface: Option<String>,
    /// The destination; of what arrives.
    pub destination: Option<&'static str>,
    /// The origin; of what is sent.
    pub origin: Option<&'static str>,
    /// The fragment.
    pub fragment: Option<&'static str>,
    /// What it spares.
    pub except: Vec<String>,
    /// Whether some packet is decided by it. Where not, rules before it take all that it matches,
    /// or its zone is empty.
    pub decides: bool,
    /// Where it is written: a file or a profile, and the line.
    pub from: String,
    /// Where it is laid down.
    pub source: Option<String>,
}

/// A rule that two policies don't have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The rule's name.
    pub rule: String,
    /// What the first policy has.
    pub before: Option<TableLine>,
    /// What the second one has.
    pub after: Option<TableLine>,
}

impl CheckedPolicy {
    /// The rules by hook, in the order of family, type and code, and of two about the same the one
    /// that is asked first.
    #[must_use]
    pub fn table(&self) -> Vec<TableLine> {
        // Every interface that a rule names is taken as present, so that "decides" speaks of the
        // policy and not of the machine.
        let mut names: Vec<Option<String>> =
            self.rules.iter().filter_map(|r| r.pattern.interface.clone()).map(Some).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(icmp_common::abi::INTERFACES);
        let context = CompileContext { interface_names: &names, ..CompileContext::EMPTY };
        // A policy that is too large has a table all the same; compiling it says why.
        let deciding = self.compile(&context).ok().map(|compiled| {
            compiled
                .hooks
                .iter()
                .flat_map(|hook| deciding(hook, compiled.zone_sets.len()))
                .collect::<HashSet<usize>>()
        });
        let mut order: Vec<usize> = (0..self.rules.len()).collect();
        order.sort_by_key(|index| {
            let rule = &self.rules[*index];
            let pattern = &rule.pattern;
            let first = |values: &Option<Values>| {
                values.as_ref().and_then(Values::first).map_or(256, u16::from)
            };
            (
                pattern.hook(),
                pattern.family.unwrap_or(u8::MAX),
                first(&pattern.types),
                first(&pattern.codes),
                rule.layer,
                pattern.zone.is_none(),
                Rank::of(rule),
            )
        });
        order
            .into_iter()
            .map(|index| {
                let decides = deciding.as_ref().is_none_or(|rules| rules.contains(&index));
                self.line(&self.rules[index], decides)
            })
            .collect()
    }

    fn line(&self, rule: &Rule, decides: bool) -> TableLine {
        let pattern = &rule.pattern;
        let effect = rule.effect();
        let (action, reason, answer) = match effect {
            Effect::Pass => ("pass", None, None),
            Effect::Drop(reason) => ("drop", Some(reason.label()), None),
            Effect::Limit(_) => ("limit", None, None),
            Effect::Reject(error, _) => {
                ("reject", None, Some(describe_answer(pattern.family, error)))
            }
            Effect::Reply(_) => ("reply", None, None),
            Effect::Verify(_) => (rule.action.label(), None, None),
        };
        let limits = effect.limits();
        let under = self.checks.under(rule);
        let unknown_flow = rule.unknown_flow.as_ref().filter(|_| rule.asks_flow(&under));
        let limit = (!limits.is_empty()).then(|| describe_limits(limits));
        let observed = self.mode == Mode::Observe || rule.mode == Mode::Observe;
        let (family, types) = (pattern.family, pattern.types.as_ref());
        let from = match rule.profile {
            Some(profile) => format!("profile {}:{}", profile.name(), rule.line),
            None => format!("{}:{}", self.name, rule.line),
        };
        TableLine {
            rule: rule.name.clone(),
            hook: pattern.hook().label(),
            family: family.map(family::label),
            types: types.map(|t| describe_types(family, t)),
            codes: pattern.codes.as_ref().map(|c| describe_codes(family, types, c)),
            action,
            reason,
            answer,
            limit,
            checks: rule
                .checks
                .iter()
                .map(|check| (check.fault.label(), under.get(check.fault).label()))
                .collect(),
            unknown_flow: unknown_flow.map(|unknown| match unknown {
                UnknownFlow::Drop => "drop".to_owned(),
                UnknownFlow::Limit(limits) => format!("limit {}", describe_limits(limits)),
            }),
            penalty: rule.penalty.as_ref().map(|p| self.describe_penalty(p)),
            mode: if observed { Mode::Observe } else { Mode::Enforce }.label(),
            zone: pattern.zone.map(|z| self.zones[z].name.clone()),
            interface: pattern.interface.clone(),
            destination: pattern.destination.map(|d| match d {
                destination::LOCAL => "local",
                _ => "transit",
            }),
            origin: pattern.origin.map(|o| match o {
                origin::GENERATED => "generated",
                _ => "forwarded",
            }),
            fragment: pattern.fragment.map(fragment::label),
            except: rule.except.clone(),
            decides,
            from,
            source: rule.source.clone(),
        }
    }

    fn describe_penalty(&self, penalty: &Penalty) -> String {
        let Penalty { after, within_s, time_s, off_link, exempt } = penalty;
        let mut text = format!("{time_s} s after {after} beyond the limit within {within_s} s");
        if *off_link {
            text.push_str(", off-link too");
        }
        if !exempt.is_empty() {
            let zones: Vec<&str> = exempt.iter().map(|z| self.zones[*z].name.as_str()).collect();
            text.push_str(&format!(", not for {}", zones.join(", ")));
        }
        text
    }
}

/// The rules, as indices of the policy, that some packet is decided by.
fn deciding(hook: &HookTable, zone_sets: usize) -> HashSet<usize> {
    let mut found = HashSet::new();
    let table = &hook.table;
    let interfaces: HashSet<u32> = table.interfaces.iter().copied().collect();
    let mut note = |row: u16, fragment: u8| {
        for destination in 0..destination::COUNT as u32 {
            for set in 0..zone_sets as u32 {
                for interface in &interfaces {
                    let index = u32::from(fragment) * table.fragment_stride
                        + destination * table.destination_stride
                        + set * table.zone_stride
                        + interface
                        + u32::from(row);
                    let rule = table.decisions[index as usize];
                    found.extend(hook.rule_indices.get(usize::from(rule)));
                }
            }
        }
    };
    let rows: HashSet<u16> = table.classes.iter().flatten().map(|e| e.row).collect();
    for row in rows {
        note(row, fragment::NONE);
        note(row, fragment::FIRST);
    }
    for f in family::ALL {
        (0..fragment::COUNT as u8)
            .for_each(|fragment| note(table.headerless[usize::from(f)].row, fragment));
    }
    found
}

/// What a rule answers with; of none in particular, what each family has.
fn describe_answer(family: Option<u8>, error: Option<Error>) -> String {
    let of = |family| answer::describe(family, error.unwrap_or(Error::prohibited(family)));
    match family {
        Some(family) => of(family),
        None => format!("{} or {}", of(family::ICMPV4), of(family::ICMPV6)),
    }
}

fn describe_limits(limits: &[RateLimit]) -> String {
    limits.iter().map(describe_limit).collect::<Vec<_>>().join("; ")
}

fn describe_limit(limit: &RateLimit) -> String {
    let mut text = match limit.pace {
        Pace::Rate { rate, burst, every, unit } => {
            let unit = match unit {
                Unit::Packets => "packets",
                Unit::Octets => "octets",
            };
            format!("{rate} {unit} per {}, burst {burst}", every.label())
        }
        Pace::Share { share, burst_ms } => {
            format!("{share} of the speed of its link, burst {burst_ms} ms")
        }
    };
    if limit.is_by_key() {
        text.push_str(&format!(", by {}", limit.key.label()));
    }
    for (family, bits) in [("IPv4", limit.prefix_v4), ("IPv6", limit.prefix_v6)] {
        if let Some(bits) = bits {
            text.push_str(&format!(" /{bits} of {family}"));
        }
    }
    if limit.reserve {
        text.push_str(", reserve");
    }
    if !limit.is_by_key() && !limit.random {
        text.push_str(", exact");
    }
    text
}

fn describe_values(values: &Values) -> String {
    let items: Vec<String> = values
        .items()
        .iter()
        .map(|item| match item {
            ValuesItem::One(value) => value.to_string(),
            ValuesItem::Range(first, last) => format!("{first}-{last}"),
        })
        .collect();
    items.join(", ")
}

fn describe_types(family: Option<u8>, types: &Values) -> String {
    let numbers = describe_values(types);
    match (family, types.single()) {
        (Some(f), Some(ty)) if type_by_name(f, type_name(f, ty)) == Some(ty) => {
            format!("{numbers} {}", type_name(f, ty))
        }
        _ => numbers,
    }
}

fn describe_codes(family: Option<u8>, types: Option<&Values>, codes: &Values) -> String {
    let numbers = describe_values(codes);
    let name = family
        .zip(types.and_then(Values::single))
        .zip(codes.single())
        .and_then(|((family, ty), code)| code_name(family, ty, code));
    match name {
        Some(name) => format!("{numbers} {name}"),
        None => numbers,
    }
}

/// The rules that two policies don't have alike, in the order of the first one's table, those that
/// only the second has behind. Where they are written isn't compared.
#[must_use]
pub fn diff(before: &CheckedPolicy, after: &CheckedPolicy) -> Vec<Difference> {
    let (before, after) = (before.table(), after.table());
    let same = |a: &TableLine, b: &TableLine| {
        let plain = |line: &TableLine| TableLine { from: String::new(), ..line.clone() };
        plain(a) == plain(b)
    };
    let changed = before.iter().filter_map(|a| {
        let b = after.iter().find(|b| b.rule == a.rule);
        (!b.is_some_and(|b| same(a, b))).then(|| Difference {
            rule: a.rule.clone(),
            before: Some(a.clone()),
            after: b.cloned(),
        })
    });
    let added = after
        .iter()
        .filter(|b| before.iter().all(|a| a.rule != b.rule))
        .map(|b| Difference { rule: b.rule.clone(), before: None, after: Some(b.clone()) });
    changed.chain(added).collect()
}

/// The table for people: its head, and a row for each line.
#[must_use]
pub fn rows(lines: &[TableLine]) -> Vec<[String; 6]> {
    let head = ["MESSAGE", "ACTION", "WHERE", "RULE", "FROM", "SOURCE"].map(str::to_owned);
    std::iter::once(head).chain(lines.iter().map(cells)).collect()
}

/// The cells of a line; what is any is left out or a hyphen.
fn cells(line: &TableLine) -> [String; 6] {
    let mut message = line.family.unwrap_or("any").to_owned();
    if let Some(types) = &line.types {
        message.push_str(&format!(" {types}"));
    }
    if let Some(codes) = &line.codes {
        message.push_str(&format!(" / {codes}"));
    }
    let mut action = match (&line.limit, line.reason) {
        (Some(limit), _) if line.action == "limit" => format!("limit {limit}"),
        (Some(limit), _) => match &line.answer {
            Some(answer) => format!("reject with {answer}, limit {limit}"),
            None => format!("{}, limit {limit}", line.action),
        },
        (None, Some(reason)) if reason != "denied" => format!("{} ({reason})", line.action),
        _ => line.action.to_owned(),
    };
    if let Some(unknown) = &line.unknown_flow {
        action.push_str(&format!("; unknown flows {unknown}"));
    }
    if let Some(penalty) = &line.penalty {
        action.push_str(&format!("; penalty box for {penalty}"));
    }
    if !line.checks.is_empty() {
        let shown = |(name, mode): (&&str, &&str)| match *mode {
            "enforce" => (*name).to_owned(),
            mode => format!("{name} {mode}"),
        };
        let checks: Vec<String> = line.checks.iter().map(shown).collect();
        action.push_str(&format!(", checks {}", checks.join(", ")));
    }
    if !line.except.is_empty() {
        action.push_str(&format!(", except {}", line.except.join(", ")));
    }
    if line.mode == "observe" {
        action.push_str(", observed");
    }
    if !line.decides {
        action.push_str(", never reached");
    }
    let place: Vec<String> = [
        (line.hook == Hook::Egress.label()).then(|| line.hook.to_owned()),
        line.zone.as_ref().map(|z| format!("zone {z}")),
        line.interface.as_ref().map(|i| format!("interface {i}")),
        line.destination.or(line.origin).map(str::to_owned),
        line.fragment.map(|f| format!("fragment {f}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let place = if place.is_empty() { "-".to_owned() } else { place.join(", ") };
    let source = line.source.clone().unwrap_or_else(|| "-".to_owned());
    [message, action, place, line.rule.clone(), line.from.clone(), source]
}

impl TableLine {
    /// Who wrote the rule.
    #[must_use]
    pub fn layer(&self) -> Layer {
        // Only names of profiles have a slash.
        if self.rule.contains('/') { Layer::Profile } else { Layer::Operator }
    }
}
