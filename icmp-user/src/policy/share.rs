//! Reading a limit that is a share of the interface's speed, `{ share = "1%", burst = "100ms" }`, and
//! the speeds that a policy gives its interfaces itself.

use super::error::quoted;
use super::reader::{Reader, Value};
use super::{Key, Pace, RateLimit, rule};
use icmp_common::share::{Share, Speed};
use std::collections::BTreeMap;
use std::time::Duration;
use toml::de::DeTable;

/// What a share looks like.
const SHARE: &str = "a share of the interface's speed, \"0.001%\" to \"100%\"";
/// The burst where none is given, and the longest, in milliseconds.
const BURST_MS: u16 = 100;
const MOST_BURST_MS: u16 = 60_000;
const BURST: &str = "the time in which it comes back, \"1ms\" to \"60s\"";
/// What a speed looks like.
const SPEED: &str = "a speed like \"100 Mbit/s\" or \"2.5 Gbit/s\", 1 Mbit/s to 800 Gbit/s";

/// What a limit has that is no share: for each key, what is wrong with it.
const NOT_OF_A_SHARE: [(&str, &str); 5] = [
    ("rate", "a share goes by the speed of the interface, and has no rate"),
    ("every", "a share goes by the speed of the interface, and has no period"),
    ("unit", "a share is one of octets, as the speed of an interface is, and has no unit"),
    ("prefix-v4", "a share has one bucket for each interface, and no prefix"),
    ("prefix-v6", "a share has one bucket for each interface, and no prefix"),
];

/// Reads what a limit with a share says; its keys are known to be those of a limit. `None` where the
/// share or the burst is wrong; what else is, is noted.
pub(super) fn read(
    reader: &mut Reader,
    table: &DeTable<'_>,
    value: Value<'_, '_>,
) -> Option<RateLimit> {
    for (key, message) in NOT_OF_A_SHARE {
        if let Some((span, _)) = reader.get(table, key) {
            reader.expected(span, message, format!("`share` or `{key}`"));
        }
    }
    if let Some((_, value)) = reader.get(table, "key")
        && let Some(key) = reader.choice(value, "key", &Key::ALL.map(|k| (k.label(), k)))
        && key != Key::Link
    {
        let message = "a share has one bucket for each interface";
        reader.expected(value.span(), message, "key = \"link\", or no `key`");
    }
    let share = read_share(reader, value);
    let burst_ms = match reader.get(table, "burst") {
        Some((_, value)) => read_burst(reader, value),
        None => Some(BURST_MS),
    };
    let reserve = reader.get(table, "reserve").and_then(|(_, v)| reader.boolean(v));
    let random = reader.get(table, "random").and_then(|(_, v)| reader.boolean(v));
    Some(RateLimit {
        pace: Pace::Share { share: share?, burst_ms: burst_ms? },
        key: Key::Link,
        reserve: reserve.unwrap_or(false),
        prefix_v4: None,
        prefix_v6: None,
        random: random.unwrap_or(true),
    })
}

/// A share, as `tc` takes one for a rate: `"1%"`.
fn read_share(reader: &mut Reader, value: Value<'_, '_>) -> Option<Share> {
    let text = reader.string(value, SHARE)?;
    let number = text.strip_suffix('%').map(|number| number.strip_suffix(' ').unwrap_or(number));
    let message = match number.and_then(thousandths) {
        None => format!("{} is not a share", quoted(text)),
        Some(Thousandths { number: 0, rest: false }) => {
            let nothing = format!("{SHARE}; for nothing at all: action = \"drop\"");
            let message = format!("a share of {} lets nothing pass", quoted(text));
            reader.expected(value.span(), message, nothing);
            return None;
        }
        Some(Thousandths { rest: true, .. }) => {
            format!("a share of {} is finer than a thousandth of a percent", quoted(text))
        }
        Some(Thousandths { number, .. }) => {
            let share = u32::try_from(number).ok().filter(|share| *share <= Share::WHOLE.0);
            if let Some(share) = share {
                return Some(Share(share));
            }
            format!("a share of {} is more than there is", quoted(text))
        }
    };
    reader.expected(value.span(), message, SHARE);
    None
}

/// A decimal number.
struct Thousandths {
    /// In thousandths, rounded down.
    number: u64,
    /// Whether there is more of it.
    rest: bool,
}

/// The number that a text is: digits, and maybe a point and digits.
fn thousandths(text: &str) -> Option<Thousandths> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let (kept, rest) = fraction.split_at(fraction.len().min(3));
    // So large that it is wrong, whatever it is.
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let number = whole.saturating_mul(1000).saturating_add(format!("{kept:0<3}").parse().ok()?);
    Some(Thousandths { number, rest: rest.bytes().any(|b| b != b'0') })
}

/// The burst of a share, in milliseconds.
fn read_burst(reader: &mut Reader, value: Value<'_, '_>) -> Option<u16> {
    let text = reader.string(value, BURST)?;
    let Ok(time) = humantime::parse_duration(text) else {
        reader.expected(value.span(), format!("{} is not a time", quoted(text)), BURST);
        return None;
    };
    let burst = quoted(text);
    let message = if time.is_zero() {
        format!("a burst of {burst} lets nothing pass")
    } else if time > Duration::from_millis(MOST_BURST_MS.into()) {
        format!("a burst of {burst} is too long")
    } else if time.subsec_nanos() % 1_000_000 != 0 {
        format!("a burst of {burst} is no whole number of milliseconds")
    } else {
        return u16::try_from(time.as_millis()).ok();
    };
    reader.expected(value.span(), message, BURST);
    None
}

/// The table `[interfaces]`: for each interface, by its name, what the policy says of it.
pub(super) fn read_interfaces(reader: &mut Reader, table: &DeTable<'_>) -> BTreeMap<String, Speed> {
    let mut speeds = BTreeMap::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        rule::judge_interface(reader, key.span(), name);
        let Some(table) = reader.table(value, "a table: [interfaces.eth0]") else { continue };
        reader.known_keys(table, "an interface", &["speed"], &[]);
        let Some((_, speed)) = reader.get(table, "speed") else {
            reader.missing(value.span(), "speed", "the interface", SPEED);
            continue;
        };
        if let Some(speed) = read_speed(reader, speed) {
            speeds.insert(name.to_owned(), speed);
        }
    }
    speeds
}

/// A speed: `"2.5 Gbit/s"`, or as `tc` has it, `"2.5gbit"`.
fn read_speed(reader: &mut Reader, value: Value<'_, '_>) -> Option<Speed> {
    let text = reader.string(value, SPEED)?;
    let lower = text.to_ascii_lowercase();
    let rate = lower.strip_suffix("/s").unwrap_or(&lower);
    let of = |unit: &str| rate.strip_suffix(unit).map(|n| n.strip_suffix(' ').unwrap_or(n));
    // Thousandths of a Gbit/s are Mbit/s.
    let read = match (of("gbit"), of("mbit")) {
        (Some(number), _) => thousandths(number).map(|t| (t.number, t.rest)),
        (_, Some(number)) => {
            thousandths(number).map(|t| (t.number / 1000, t.rest || !t.number.is_multiple_of(1000)))
        }
        _ => None,
    };
    let message = match read {
        None => format!("{} is not a speed", quoted(text)),
        Some((mbit, rest)) => {
            let speed = u32::try_from(mbit).ok().map(Speed);
            let within = |s: &Speed| (Speed::LEAST..=Speed::MOST).contains(s);
            if let Some(speed) = speed.filter(|s| !rest && within(s)) {
                return Some(speed);
            }
            let why = if rest { "no whole number of Mbit/s" } else { "out of range" };
            format!("a speed of {} is {why}", quoted(text))
        }
    };
    reader.expected(value.span(), message, SPEED);
    None
}
