//! Reading a penalty: `{ after = 100, within = "10s", time = "60s" }`, and judging whether its rule
//! may have one.

use super::error::quoted;
use super::reader::{Reader, Span, Value};
use super::{Action, Hook, Key, Pattern, Penalty, RateLimit};
use icmp_common::abi::family::{ICMPV4, ICMPV6, IGMP, label};
use icmp_common::penalty::{MOST_OFFENCES, MOST_SECONDS};
use std::time::Duration;
use toml::de::DeTable;

/// The keys of a penalty.
const KEYS: &[&str] = &["after", "within", "time", "off-link", "exempt"];
/// What a penalty looks like.
const PENALTY: &str = "a penalty like { after = 100, within = \"10s\", time = \"60s\" }";
/// The window where none is given.
const WITHIN_S: u8 = 10;

/// What is never boxed, whoever sends it: a source that loses these loses its link, its paths or its
/// groups, and whoever wants that to happen would only have to make it exceed a limit.
const NEVER: [(&str, &[Messages]); 3] = [
    (
        "path MTU discovery",
        &[
            Messages { family: ICMPV4, types: &[3], code: Some(4) },
            Messages { family: ICMPV6, types: &[2], code: None },
        ],
    ),
    (
        "neighbour discovery",
        &[Messages {
            family: ICMPV6,
            types: &[133, 134, 135, 136, 137, 141, 142, 148, 149],
            code: None,
        }],
    ),
    (
        "group membership",
        &[
            Messages { family: ICMPV6, types: &[130, 131, 132, 143, 151, 152, 153], code: None },
            // Whatever its type: IGMP is that and nothing else.
            Messages { family: IGMP, types: &[], code: None },
        ],
    ),
];

/// Types of a family; without any, all of it.
struct Messages {
    family: u8,
    types: &'static [u8],
    code: Option<u8>,
}

impl Messages {
    /// Which of them a pattern can match, as words; `None` for none.
    fn matched(&self, pattern: &Pattern) -> Option<String> {
        let family = label(self.family);
        if self.types.is_empty() {
            return pattern.family.is_none_or(|f| f == self.family).then(|| family.to_owned());
        }
        let matches = |ty: u8| match self.code {
            Some(code) => pattern.matches_message(self.family, Some((ty, code))),
            None => (0..=u8::MAX).any(|c| pattern.matches_message(self.family, Some((ty, c)))),
        };
        let types: Vec<String> =
            self.types.iter().filter(|ty| matches(**ty)).map(u8::to_string).collect();
        let code = self.code.map_or(String::new(), |code| format!("/{code}"));
        (!types.is_empty()).then(|| format!("{family} {}{code}", types.join(", ")))
    }
}

/// A penalty, where nothing in it is wrong, and the names of the zones that are exempt from it, each
/// with its place.
#[derive(Default)]
pub(super) struct Written {
    pub penalty: Option<Penalty>,
    pub exempt: Vec<(String, Span)>,
}

/// Reads the penalty of a rule, if it has one.
pub(super) fn read(
    reader: &mut Reader,
    table: &DeTable<'_>,
    pattern: &Pattern,
    action: Option<Action>,
    limits: &[RateLimit],
) -> Written {
    let Some((span, value)) = reader.get(table, "penalty") else { return Written::default() };
    judge_rule(reader, &span, pattern, action, limits);
    let Some(table) = reader.table(value, PENALTY) else { return Written::default() };
    reader.known_keys(table, "a penalty", KEYS, &[]);
    let after = read_after(reader, table, value.span());
    let within_s = match reader.get(table, "within") {
        Some((_, value)) => read_seconds(reader, "window", value),
        None => Some(WITHIN_S),
    };
    let time_s = match reader.get(table, "time") {
        Some((_, value)) => read_seconds(reader, "penalty", value),
        None => {
            reader.missing(value.span(), "time", "the penalty", &seconds_expected());
            None
        }
    };
    let off_link = reader.get(table, "off-link").and_then(|(_, v)| reader.boolean(v));
    let exempt = read_exempt(reader, table);
    let penalty = after.zip(within_s).zip(time_s).map(|((after, within_s), time_s)| Penalty {
        after,
        within_s,
        time_s,
        off_link: off_link.unwrap_or(false),
        exempt: Vec::new(),
    });
    Written { penalty, exempt }
}

/// Notes why a rule may not have a penalty.
fn judge_rule(
    reader: &mut Reader,
    span: &Span,
    pattern: &Pattern,
    action: Option<Action>,
    limits: &[RateLimit],
) {
    let mut refuse = |message: String, expected: &str| {
        reader.expected(span.clone(), message, expected);
    };
    if action.is_some_and(|a| a != Action::Limit) {
        refuse("only what is limited has a penalty".to_owned(), "action = \"limit\"");
        return;
    }
    if pattern.hook() == Hook::Egress {
        refuse(
            "only what arrives is boxed: what this machine sends has no sender to be held off"
                .to_owned(),
            "hook = \"ingress\", or no `penalty`",
        );
    }
    // Where the limits or the action are wrong, that was noted, and which there are isn't known.
    if action.is_some() && !limits.is_empty() {
        const ONE: &str = "one limit with key = \"source\"";
        match limits.iter().filter(|l| l.key == Key::Source).count() {
            1 => {}
            0 => refuse("a penalty is for sources that exceed a limit by source".to_owned(), ONE),
            n => refuse(format!("a penalty can't tell which of {n} limits by source counts"), ONE),
        }
    }
    for (what, messages) in &NEVER {
        let matched: Vec<String> = messages.iter().filter_map(|m| m.matched(pattern)).collect();
        if !matched.is_empty() {
            refuse(
                format!(
                    "the penalty box is never for {what}, and this rule matches it: {}",
                    matched.join("; ")
                ),
                "`family`, `type` and `code` that leave it out",
            );
        }
    }
}

const AFTER: &str = "a whole number, 1 to 1000000: the packets beyond the limit that box a source";
const _: () = assert!(MOST_OFFENCES == 1_000_000);

fn read_after(reader: &mut Reader, table: &DeTable<'_>, penalty: Span) -> Option<u32> {
    let Some((_, value)) = reader.get(table, "after") else {
        reader.missing(penalty, "after", "the penalty", AFTER);
        return None;
    };
    let number = reader.integer(value, AFTER)?;
    let after = u32::try_from(number).ok().filter(|n| (1..=MOST_OFFENCES).contains(n));
    if after.is_none() {
        reader.expected(value.span(), format!("a penalty after {number} packets"), AFTER);
    }
    after
}

fn seconds_expected() -> String {
    format!("a time in whole seconds, \"1s\" to \"{MOST_SECONDS}s\"")
}

/// A time in whole seconds, as `"30s"` or `"1m"`.
fn read_seconds(reader: &mut Reader, what: &str, value: Value<'_, '_>) -> Option<u8> {
    let expected = seconds_expected();
    let text = reader.string(value, &expected)?;
    let Ok(time) = humantime::parse_duration(text) else {
        reader.expected(value.span(), format!("{} is not a time", quoted(text)), expected);
        return None;
    };
    let most = Duration::from_secs(MOST_SECONDS.into());
    let message = if time > most {
        format!("a {what} of {} is too long", quoted(text))
    } else if time.is_zero() || time.subsec_nanos() != 0 {
        format!("a {what} of {} can't be kept", quoted(text))
    } else {
        return Some(time.as_secs() as u8);
    };
    reader.expected(value.span(), message, expected);
    None
}

fn read_exempt(reader: &mut Reader, table: &DeTable<'_>) -> Vec<(String, Span)> {
    let Some((_, value)) = reader.get(table, "exempt") else { return Vec::new() };
    let items = reader.one_or_more(value);
    items
        .into_iter()
        .filter_map(|v| {
            reader.string(v, "the name of a zone").map(|name| (name.to_owned(), v.span()))
        })
        .collect()
}
