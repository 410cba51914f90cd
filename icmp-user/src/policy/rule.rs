//! Reading a rule: which packets it is about, what is done with them.

use super::document::{MODES, WrittenRule, rule_checks};
use super::error::{one_of, quoted};
use super::limit::{self, LIMIT};
use super::reader::{LaterKey, Reader, Span, Value};
use super::{
    Action, CheckMode, Hook, Layer, Pattern, RateLimit, Rule, RuleCheck, UnknownFlow, answer,
    message, penalty,
};
use icmp_common::abi::{LIMITS_OF_A_KIND, destination, fragment, origin};
use icmp_common::redirect::is_redirect;
use icmp_common::verdict::{Mode, Reason};
use toml::de::DeTable;

/// The keys of a rule.
const KEYS: &[&str] = &[
    "name",
    "family",
    "type",
    "code",
    "zone",
    "interface",
    "destination",
    "origin",
    "fragment",
    "hook",
    "action",
    "limit",
    "limits",
    "penalty",
    "reject",
    "mode",
    "checks",
    "unknown-flow",
    "source",
];
/// The keys of a rule in a profile: what isn't in force yet as well.
const PROFILE_KEYS: &[&str] = &[
    "name",
    "family",
    "type",
    "code",
    "zone",
    "interface",
    "destination",
    "origin",
    "fragment",
    "hook",
    "action",
    "limit",
    "limits",
    "reject",
    "mode",
    "checks",
    "source",
    "unknown-flow",
    "except",
];
/// The keys that a later version has.
const LATER_KEYS: &[LaterKey] =
    &[("except", "exceptions"), ("beyond", "a choice of what happens beyond a limit")];
/// What a profile's rule can spare.
const EXCEPTIONS: &[(&str, ())] = &[("own-requests", ()), ("listed-routers", ()), ("gateway", ())];
const DESTINATIONS: &[(&str, u8)] =
    &[("local", destination::LOCAL), ("transit", destination::TRANSIT)];
const ORIGINS: &[(&str, u8)] =
    &[("generated", origin::GENERATED), ("forwarded", origin::FORWARDED)];
const FRAGMENTS: &[(&str, u8)] =
    &[("none", fragment::NONE), ("first", fragment::FIRST), ("later", fragment::LATER)];
const HOOKS: &[(&str, Hook)] = &[("ingress", Hook::Ingress), ("egress", Hook::Egress)];
/// What rules can do.
const ACTIONS: &[Action] = &[
    Action::Pass,
    Action::Drop,
    Action::Limit,
    Action::Reject,
    Action::Reply,
    Action::VerifyRedirect,
];
/// What a name looks like.
pub(super) const NAME: &str = "lower-case letters, digits and hyphens, at most 64";

/// Whether a name can be one of an operator's.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Reads a rule, the table of one `[[rule]]`.
pub(super) fn read(reader: &mut Reader, table: &DeTable<'_>, span: Span) -> WrittenRule {
    let before = reader.findings.len();
    let operator = reader.is_operator();
    let keys = if operator { KEYS } else { PROFILE_KEYS };
    reader.known_keys(table, "a rule", keys, LATER_KEYS);

    let (name, name_span) = read_name(reader, table, &span);
    let (zone, mut pattern) = read_pattern(reader, table);
    let action = read_action(reader, table, &span);
    let answer = answer::read(reader, table, action, pattern.family);
    answer::judge(reader, table, action, &mut pattern);
    judge_redirects(reader, table, action, &pattern);
    let limits = read_limits(reader, table, &span, action, pattern.family);
    let penalty::Written { penalty, exempt } =
        penalty::read(reader, table, &pattern, action, &limits);
    let mode = reader.get(table, "mode").and_then(|(_, v)| reader.choice(v, "mode", MODES));
    let source = reader
        .get(table, "source")
        .and_then(|(_, v)| reader.string(v, "a sentence").map(str::to_owned));
    if !operator && source.is_none() {
        reader.missing(span.clone(), "source", "the rule", "the RFC that lays it down");
    }
    let checks = read_checks(reader, table);
    let unknown_flow = read_unknown_flow(reader, table, action, &pattern);
    let except = match operator {
        true => Vec::new(),
        false => read_labels(reader, table, "except", EXCEPTIONS),
    };
    let rule = Rule {
        name,
        layer: reader.layer,
        profile: None,
        line: 0,
        pattern,
        action: action.unwrap_or(Action::Pass),
        answer,
        limits,
        penalty,
        mode: mode.unwrap_or(Mode::Enforce),
        checks,
        unknown_flow,
        except,
        source,
    };
    let sound = reader.findings.len() == before;
    WrittenRule { rule, span, name: name_span, zone, exempt, sound }
}

fn read_name(reader: &mut Reader, table: &DeTable<'_>, rule: &Span) -> (String, Option<Span>) {
    let Some((_, value)) = reader.get(table, "name") else {
        reader.missing(rule.clone(), "name", "the rule", "name = \"...\"");
        return (String::new(), None);
    };
    let Some(name) = reader.string(value, NAME) else { return (String::new(), None) };
    // A profile's names have a slash, so that no file can have the same.
    let holds = match reader.layer {
        Layer::Operator => is_name(name),
        Layer::Profile => name.split_once('/').is_some_and(|(a, b)| is_name(a) && is_name(b)),
    };
    if !holds {
        reader.expected(value.span(), format!("{} is no name for a rule", quoted(name)), NAME);
    }
    (name.to_owned(), Some(value.span()))
}

/// The zone by name, because the zones may stand behind the rule; and everything else.
fn read_pattern(reader: &mut Reader, table: &DeTable<'_>) -> (Option<(String, Span)>, Pattern) {
    let mut pattern = Pattern::default();
    message::read(reader, table, &mut pattern);
    let zone = reader.get(table, "zone").and_then(|(_, v)| {
        reader.string(v, "the name of a zone").map(|name| (name.to_owned(), v.span()))
    });
    if let Some((_, value)) = reader.get(table, "interface")
        && let Some(name) = reader.string(value, INTERFACE)
        && judge_interface(reader, value.span(), name)
    {
        pattern.interface = Some(name.to_owned());
    }
    if let Some((_, value)) = reader.get(table, "destination") {
        pattern.destination = reader.choice(value, "destination", DESTINATIONS);
    }
    if let Some((_, value)) = reader.get(table, "fragment") {
        pattern.fragment = reader.choice(value, "fragment", FRAGMENTS);
        if pattern.is_later_fragment() && table.get("type").is_some() {
            let message = "a later fragment has no type, so this rule never matches";
            reader.expected(value.span(), message, "`none` or `first`, or no `type`");
        }
    }
    if let Some((_, value)) = reader.get(table, "hook") {
        pattern.hook = reader.choice(value, "hook", HOOKS);
    }
    if let Some((span, value)) = reader.get(table, "origin") {
        pattern.origin = reader.choice(value, "origin", ORIGINS);
        if pattern.hook() != Hook::Egress {
            let message = "only what is sent has an origin, and this rule is of what arrives";
            reader.expected(span, message, "hook = \"egress\"");
        }
    }
    if let Some((span, _)) = reader.get(table, "destination")
        && pattern.hook() == Hook::Egress
    {
        let message = "what is sent is told apart by its origin, not by its destination";
        reader.expected(span, message, "`origin`, or hook = \"ingress\"");
    }
    (zone, pattern)
}

const INTERFACE: &str = "the name of an interface: 1 to 15 octets, no slash, colon or space";

/// Whether a name can be an interface's; where it can't, that is noted.
pub(super) fn judge_interface(reader: &mut Reader, span: Span, name: &str) -> bool {
    let is = is_interface(name);
    if !is {
        reader.expected(span, format!("{} is no name of an interface", quoted(name)), INTERFACE);
    }
    is
}

/// Whether Linux could call an interface that (dev_valid_name).
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
}

fn read_action(reader: &mut Reader, table: &DeTable<'_>, rule: &Span) -> Option<Action> {
    let expected = one_of(ACTIONS.iter().map(|a| a.label()));
    let Some((_, value)) = reader.get(table, "action") else {
        reader.missing(rule.clone(), "action", "the rule", &expected);
        return None;
    };
    let actions: Vec<(&str, Action)> = ACTIONS.iter().map(|a| (a.label(), *a)).collect();
    reader.choice(value, "action", &actions)
}

fn read_limits(
    reader: &mut Reader,
    table: &DeTable<'_>,
    rule: &Span,
    action: Option<Action>,
    family: Option<u8>,
) -> Vec<RateLimit> {
    let one = reader.get(table, "limit");
    let many = reader.get(table, "limits");
    if let (Some(_), Some((span, _))) = (&one, &many) {
        reader.expected(span.clone(), "the rule has `limit` and `limits`", "one of them");
    }
    // A redirect that verifies is limited too, and so are answers.
    let limited = matches!(
        action,
        Some(Action::Limit | Action::Reject | Action::Reply | Action::VerifyRedirect)
    );
    match (&one, &many) {
        (Some((span, _)), _) | (None, Some((span, _))) if action.is_some() && !limited => {
            let message = "only what is limited or answered has a limit";
            let expected = "action = \"limit\", or `reject` or `reply`";
            reader.expected(span.clone(), message, expected);
        }
        (None, None) if action == Some(Action::Limit) && table.get("limits").is_none() => {
            reader.missing(rule.clone(), "limit", "the rule", LIMIT);
        }
        _ => {}
    }
    if one.is_none()
        && many.is_none()
        && let Some(action) = action
    {
        return answer::default_limits(action);
    }
    let mut values: Vec<Value<'_, '_>> = one.into_iter().map(|(_, v)| v).collect();
    values.extend(many.iter().flat_map(|(_, v)| reader.one_or_more(v)));
    if values.is_empty()
        && let Some((span, _)) = many
    {
        reader.expected(span, "the list of limits is empty", LIMIT);
    }
    read_all(reader, values, family)
}

/// Limits, as many of each kind as a rule of the table has room for.
fn read_all(reader: &mut Reader, values: Vec<Value<'_, '_>>, family: Option<u8>) -> Vec<RateLimit> {
    let mut limits = Vec::new();
    for value in values {
        let Some(limit) = limit::read(reader, value) else { continue };
        limit::judge_family(reader, value, &limit, family);
        let by_key = limit.is_by_key();
        let alike: Vec<&RateLimit> =
            limits.iter().filter(|l: &&RateLimit| l.is_by_key() == by_key).collect();
        if alike.len() == LIMITS_OF_A_KIND {
            let shares = limit.is_share() || alike.iter().any(|l| l.is_share());
            let kind = match by_key {
                true => "by key",
                false if shares => "in total, shares included",
                false => "in total",
            };
            let message = format!("more than {LIMITS_OF_A_KIND} limits {kind}");
            reader.expected(value.span(), message, "at most two in total and two by key");
        }
        limits.push(limit);
    }
    limits
}

/// That what verifies redirects is about nothing else.
fn judge_redirects(
    reader: &mut Reader,
    table: &DeTable<'_>,
    action: Option<Action>,
    pattern: &Pattern,
) {
    let Some((span, _)) = reader.get(table, "action") else { return };
    let others = pattern.matches_any(|family, ty| !is_redirect(family, ty));
    let arrives = pattern.hook() == Hook::Ingress;
    if action == Some(Action::VerifyRedirect) && (others || pattern.is_later_fragment() || !arrives)
    {
        let message = "only redirects that arrive are held against the routes";
        reader.expected(span, message, "a family and type = \"redirect\", or another action");
    }
}

/// What becomes of what the rule matches and whose flow is unknown: `"drop"`, or a limit of its own.
fn read_unknown_flow(
    reader: &mut Reader,
    table: &DeTable<'_>,
    action: Option<Action>,
    pattern: &Pattern,
) -> Option<UnknownFlow> {
    let (span, value) = reader.get(table, "unknown-flow")?;
    let passes =
        matches!(action, None | Some(Action::Pass | Action::Limit | Action::VerifyRedirect));
    if !passes {
        let message = "the rule lets nothing pass, whatever its flow";
        reader.expected(span, message, "action = \"limit\" or `pass`");
        return None;
    }
    if pattern.hook() != Hook::Ingress || !pattern.can_have_flow() {
        let message = "nothing that the rule matches has a flow";
        reader.expected(
            span,
            message,
            "errors that arrive, or replies to echo or timestamp requests",
        );
        return None;
    }
    match value.get_ref().as_str() {
        Some("drop") => Some(UnknownFlow::Drop),
        Some(word) => {
            reader.expected(value.span(), format!("unknown choice {}", quoted(word)), UNKNOWN_FLOW);
            None
        }
        None if value.get_ref().as_table().is_none() && value.get_ref().as_array().is_none() => {
            reader.wrong_kind(value, UNKNOWN_FLOW);
            None
        }
        None => {
            let values = reader.one_or_more(value);
            Some(UnknownFlow::Limit(read_all(reader, values, pattern.family)))
        }
    }
}

/// What `unknown-flow` is set to.
const UNKNOWN_FLOW: &str = "`drop`, or a limit like { rate = 10, burst = 20, key = \"source\" }";

/// The checks that the rule names: a list of those that it asks for in transit as well, or a table that says
/// what is done about each.
fn read_checks(reader: &mut Reader, table: &DeTable<'_>) -> Vec<RuleCheck> {
    let Some((_, value)) = reader.get(table, "checks") else { return Vec::new() };
    let mut checks = Vec::new();
    if let Some(table) = value.get_ref().as_table() {
        let modes = CheckMode::ALL.map(|m| (m.label(), m));
        for (key, value) in table {
            let fault = read_check(reader, key.get_ref(), key.span());
            let mode = reader.choice(value, "setting", &modes);
            checks.extend(fault.map(|fault| RuleCheck { fault, mode }));
        }
        return checks;
    }
    for item in reader.one_or_more(value) {
        let word = reader.string(item, "a list of checks, or a table of them");
        let fault = word.and_then(|word| read_check(reader, word, item.span()));
        checks.extend(fault.map(|fault| RuleCheck { fault, mode: None }));
    }
    checks
}

/// The fault of the check of this name, where a rule can name it.
fn read_check(reader: &mut Reader, word: &str, span: Span) -> Option<Reason> {
    let fault = rule_checks().find(|fault| fault.label() == word);
    if fault.is_none() {
        let labels = || rule_checks().map(Reason::label);
        let expected = reader.suggest(word, labels(), one_of(labels()));
        reader.expected(span, format!("unknown check {}", quoted(word)), expected);
    }
    fault
}

fn read_labels(
    reader: &mut Reader,
    table: &DeTable<'_>,
    key: &str,
    labels: &[(&'static str, ())],
) -> Vec<String> {
    let Some((_, value)) = reader.get(table, key) else { return Vec::new() };
    labels_of(reader, reader.one_or_more(value), key, labels)
}

/// Those of these values that are one of the labels; the others are noted.
fn labels_of(
    reader: &mut Reader,
    items: Vec<Value<'_, '_>>,
    what: &str,
    labels: &[(&'static str, ())],
) -> Vec<String> {
    items
        .into_iter()
        .filter(|v| reader.choice(v, what, labels).is_some())
        .filter_map(|v| v.get_ref().as_str().map(str::to_owned))
        .collect()
}
