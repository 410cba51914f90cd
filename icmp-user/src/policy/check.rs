//! A document looked at as a whole: laid over its profile, its names resolved, and no two rules of
//! it left that would tie.

use super::document::{self, Document, WrittenRule, WrittenZone};
use super::error::{Findings, nearest, one_of, quoted};
use super::profile::Template;
use super::reader::Span;
use super::{CheckedPolicy, Checks, Layer, PolicyErrors, Profile, Zone, precedence};
use super::{profile, rule, source};
use icmp_common::abi::{RULES, ZONE_PREFIXES};
use icmp_common::verdict::Mode;
use ipnet::IpNet;
use std::collections::HashMap;

/// The zone that rules of profiles name. A policy that doesn't define it has nobody in it.
const MONITORS: &str = "monitors";

/// Reads and checks the operator's own file.
pub(super) fn operator(name: &str, text: &str) -> Result<CheckedPolicy, PolicyErrors> {
    let text = source::without_bom(text);
    let mut document = document::read(text, Layer::Operator);
    let mut findings = std::mem::take(&mut document.findings);
    check_prefixes(&document.zones, &mut findings);
    check_names(&document.rules, &mut findings);
    resolve_zones(&mut document, &mut findings);
    let template = profile::template(document.profile.unwrap_or(Profile::Host));
    // The table keeps one for what no rule matches.
    let room = RULES - 1 - template.rules.len();
    if let Some(first) = document.rules.get(room) {
        let message = format!("the policy has {} rules", document.written_rules);
        let expected = format!("at most {room} beside those of the profile");
        findings.add(first.span.clone(), message, Some(expected));
    } else if !findings.has_syntax_errors() {
        check_ties(&document.rules, &mut findings);
    }
    if !findings.is_empty() {
        return Err(findings.resolve(name, text));
    }
    number_lines(text, &mut document.rules);
    for (_, at) in &mut document.idle_keys {
        *at = 1 + text[..*at].matches('\n').count();
    }
    Ok(assemble(name, template, document))
}

/// Lays a document over a profile.
pub(super) fn assemble(name: &str, template: Template, document: Document) -> CheckedPolicy {
    let mut zones: Vec<Zone> = document
        .zones
        .into_iter()
        .map(|zone| {
            let mut prefixes: Vec<IpNet> = zone.prefixes.into_iter().map(|(net, _)| net).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            Zone { name: zone.name, prefixes }
        })
        .collect();
    let mut checks = Checks::default();
    for (fault, mode) in template.checks.iter().chain(&document.checks) {
        checks.set(*fault, *mode);
    }
    let mut rules = Vec::new();
    for written in document.rules.into_iter().chain(template.rules) {
        let mut rule = written.rule;
        rule.pattern.zone = written.zone.map(|(name, _)| {
            zones.iter().position(|z| z.name == name).unwrap_or_else(|| {
                zones.push(Zone { name, prefixes: Vec::new() });
                zones.len() - 1
            })
        });
        if let Some(penalty) = &mut rule.penalty {
            // Resolving refused those that aren't there.
            let place = |(name, _): &(String, _)| zones.iter().position(|z| z.name == *name);
            penalty.exempt = written.exempt.iter().filter_map(place).collect();
        }
        rules.push(rule);
    }
    CheckedPolicy {
        name: name.to_owned(),
        path: None,
        text: None,
        profile: template.profile,
        mode: document.mode.or(template.mode).unwrap_or(Mode::Enforce),
        checks,
        keys: document.keys,
        speeds: document.speeds,
        routers: document.routers,
        groups: document.groups,
        idle_keys: document.idle_keys,
        zones,
        rules,
    }
}

/// Tells each rule the line of its header.
pub(super) fn number_lines(text: &str, rules: &mut [WrittenRule]) {
    let (mut line, mut from) = (1, 0);
    for written in rules {
        let to = written.span.start.max(from);
        line += text[from..to].matches('\n').count();
        from = to;
        written.rule.line = line;
    }
}

fn check_prefixes(zones: &[WrittenZone], findings: &mut Findings) {
    let mut all: Vec<(IpNet, usize, usize)> = Vec::new();
    for (index, zone) in zones.iter().enumerate() {
        all.extend(zone.prefixes.iter().map(|(net, span)| (*net, span.start, index)));
    }
    all.sort_unstable();
    for pair in all.chunk_by(|a, b| a.0 == b.0) {
        let (net, first, zone) = pair[0];
        // Twice in one zone is idle, and long lists that are put together from others have it.
        for (_, at, other) in pair.iter().filter(|(_, _, other)| *other != zone) {
            let (zone, other) = (&zones[zone].name, &zones[*other].name);
            let message = format!(
                "the prefix {net} is in zone {} and in zone {}",
                quoted(other),
                quoted(zone)
            );
            let expected = Some("a prefix in one zone only".to_owned());
            findings.add_related(*at..*at, message, ("the other is on", first), expected);
        }
    }
    for (label, ipv4) in [("IPv4", true), ("IPv6", false)] {
        let mut starts: Vec<usize> = all
            .iter()
            .filter(|(net, ..)| matches!(net, IpNet::V4(_)) == ipv4)
            .map(|(_, at, _)| *at)
            .collect();
        let most = ZONE_PREFIXES as usize;
        if starts.len() > most {
            starts.sort_unstable();
            let message = format!("the zones have {} {label} prefixes", starts.len());
            let at = starts[most];
            findings.add(at..at, message, Some(format!("at most {most}")));
        }
    }
}

fn check_names(rules: &[WrittenRule], findings: &mut Findings) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for written in rules {
        let Some(span) = &written.name else { continue };
        let name = written.rule.name.as_str();
        match first.get(name) {
            None => {
                first.insert(name, span.start);
            }
            Some(at) => {
                let message = format!("a second rule has the name {}", quoted(name));
                let expected = Some("a name of its own".to_owned());
                findings.add_related(span.clone(), message, ("the first is on", *at), expected);
            }
        }
    }
}

/// Notes rules that name a zone which isn't there, and numbers the zones of the others, so that
/// they can be compared.
fn resolve_zones(document: &mut Document, findings: &mut Findings) {
    let zones = &document.zones;
    for written in &mut document.rules {
        for (name, span) in &written.exempt {
            // A name that profiles know is none of a profile here: who is exempt is to be said.
            if !zones.iter().any(|z| z.name == *name) {
                written.sound = false;
                no_zone(zones, name, span, findings);
            }
        }
        let Some((name, span)) = &written.zone else { continue };
        if let Some(index) = zones.iter().position(|z| z.name == *name) {
            written.rule.pattern.zone = Some(index);
            continue;
        }
        if name == MONITORS {
            // The number that it will have, so that the rule is compared as one of a zone.
            written.rule.pattern.zone = Some(zones.len());
            continue;
        }
        written.sound = false;
        no_zone(zones, name, span, findings);
    }
}

/// Notes a zone that isn't there.
fn no_zone(zones: &[WrittenZone], name: &str, span: &Span, findings: &mut Findings) {
    let message = format!("there is no zone {}", quoted(name));
    let known = zones.iter().map(|z| z.name.as_str());
    let mut expected = match zones.len() {
        0 => format!("the zone to be defined: [zones], {name} = [\"192.0.2.0/24\"]"),
        1..=10 => one_of(known.clone()),
        _ => "the name of a zone under [zones]".to_owned(),
    };
    if let Some(meant) = nearest(name, known) {
        expected.push_str(&format!(" (did you mean `{meant}`?)"));
    }
    let expected = if rule::is_name(name) { expected } else { rule::NAME.to_owned() };
    findings.add(span.clone(), message, Some(expected));
}

/// Notes rules of one layer that overlap while neither is more specific.
fn check_ties(rules: &[WrittenRule], findings: &mut Findings) {
    let ranks: Vec<_> = rules.iter().map(|w| precedence::Rank::of(&w.rule)).collect();
    for (i, second) in rules.iter().enumerate() {
        for (j, first) in rules[..i].iter().enumerate() {
            let sound = first.sound && second.sound;
            if sound && ranks[i] == ranks[j] && precedence::tie(&first.rule, &second.rule) {
                let message = format!(
                    "rule {} overlaps rule {}, and neither is more specific",
                    quoted(&second.rule.name),
                    quoted(&first.rule.name)
                );
                let expected = "one of them to name less or more, or only one of them".to_owned();
                let other = ("the other is on", first.span.start);
                findings.add_related(second.span.clone(), message, other, Some(expected));
            }
        }
    }
}

/// Whether two rules of one layer tie: what the test of the profiles asks.
#[cfg(test)]
pub(super) fn ties(rules: &[super::Rule]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (i, second) in rules.iter().enumerate() {
        for first in &rules[..i] {
            if precedence::Rank::of(first) == precedence::Rank::of(second)
                && precedence::tie(first, second)
            {
                found.push((first.name.clone(), second.name.clone()));
            }
        }
    }
    found
}
