//! Reading a limit: `{ rate = 5000, burst = 5000 }` and what may stand beside these. One that has a
//! `share` in place of a rate is read by `share`.

use super::reader::{LaterKey, Reader, Span, Value};
use super::{Every, Key, Pace, RateLimit, share};
use icmp_common::bucket::{Limit, LimitError, MAX_DEPTH, UNITS_PER_S, Unit, max_rate};

/// The keys of a limit.
const KEYS: &[&str] = &[
    "rate",
    "burst",
    "every",
    "unit",
    "share",
    "key",
    "prefix-v4",
    "prefix-v6",
    "reserve",
    "random",
];
/// The keys that a later version has.
const LATER_KEYS: &[LaterKey] = &[("beyond", "a choice of what happens beyond a limit")];
/// How long a prefix of each family can be.
const PREFIXES: [(&str, u8, &str); 2] = [
    ("prefix-v4", 32, "a whole number of bits, 0 to 32"),
    ("prefix-v6", 128, "a whole number of bits, 0 to 128"),
];
const UNITS: &[(&str, Unit)] = &[("packets", Unit::Packets), ("octets", Unit::Octets)];
/// What a limit looks like.
pub(super) const LIMIT: &str = "a limit like { rate = 100, burst = 200 }";

/// Reads a limit. `None` where anything in it is wrong.
pub(super) fn read(reader: &mut Reader, value: Value<'_, '_>) -> Option<RateLimit> {
    let table = reader.table(value, LIMIT)?;
    let before = reader.findings.len();
    reader.known_keys(table, "a limit", KEYS, LATER_KEYS);
    if let Some((_, share)) = reader.get(table, "share") {
        let limit = share::read(reader, table, share);
        return limit.filter(|_| reader.findings.len() == before);
    }

    let every = reader
        .get(table, "every")
        .map(|(_, v)| reader.choice(v, "period", &Every::ALL.map(|e| (e.label(), e))));
    let unit = reader.get(table, "unit").map(|(_, v)| reader.choice(v, "unit", UNITS));
    let key = reader
        .get(table, "key")
        .map(|(_, v)| reader.choice(v, "key", &Key::ALL.map(|k| (k.label(), k))));
    let reserve = reader.get(table, "reserve").and_then(|(_, v)| reader.boolean(v));
    let random = reader.get(table, "random").and_then(|(_, v)| reader.boolean(v));
    // What isn't given has its default; what is given wrong has none, and was noted.
    let every = every.unwrap_or(Some(Every::Second));
    let unit = unit.unwrap_or(Some(Unit::Packets));
    let key = key.unwrap_or(Some(Key::Total));
    let [prefix_v4, prefix_v6] = PREFIXES
        .map(|(name, most, expected)| read_prefix(reader, table, key, (name, most, expected)));
    if random == Some(true) && key.is_some_and(|k| k != Key::Total) {
        let (span, _) = reader.get(table, "random").unwrap_or((value.span(), value));
        let message = "only a limit in total is randomised: nobody else draws on one by key";
        reader.expected(span, message, "a limit without `key`");
    }
    let rate = number(reader, table, value.span(), "rate", RATE);
    let burst = number(reader, table, value.span(), "burst", BURST);

    if let (Some(every), Some(unit)) = (every, unit) {
        judge(reader, every, unit, rate.clone(), burst.clone());
    }
    if reader.findings.len() > before {
        return None;
    }
    Some(RateLimit {
        pace: Pace::Rate { rate: rate?.0, burst: burst?.0, every: every?, unit: unit? },
        key: key?,
        reserve: reserve.unwrap_or(false),
        prefix_v4,
        prefix_v6,
        random: random.unwrap_or(key == Some(Key::Total)),
    })
}

/// The length of a prefix, where one is given.
fn read_prefix(
    reader: &mut Reader,
    table: &toml::de::DeTable<'_>,
    key: Option<Key>,
    (name, most, expected): (&str, u8, &str),
) -> Option<u8> {
    let (span, value) = reader.get(table, name)?;
    if key.is_some_and(|k| !k.is_address()) {
        let message = "only a limit by source or destination has a prefix".to_owned();
        reader.expected(span, message, "key = \"source\" or key = \"destination\"");
        return None;
    }
    let bits = reader.integer(value, expected)?;
    let bits = u8::try_from(bits).ok().filter(|bits| *bits <= most);
    if bits.is_none() {
        reader.expected(value.span(), format!("{name} is too long or negative"), expected);
    }
    bits
}

/// Notes a prefix of a family that the rule isn't about.
pub(super) fn judge_family(
    reader: &mut Reader,
    value: Value<'_, '_>,
    limit: &RateLimit,
    family: Option<u8>,
) {
    use icmp_common::abi::family::{self, ICMPV6};
    let Some(family) = family else { return };
    let wrong = if family == ICMPV6 {
        limit.prefix_v4.map(|_| ("prefix-v4", "IPv4", "prefix-v6"))
    } else {
        limit.prefix_v6.map(|_| ("prefix-v6", "IPv6", "prefix-v4"))
    };
    if let Some((key, has_no, meant)) = wrong {
        let span = value
            .get_ref()
            .as_table()
            .and_then(|table| reader.get(table, key))
            .map_or(value.span(), |(span, _)| span);
        let message = format!("{} has no {has_no} addresses", family::label(family));
        reader.expected(span, message, format!("`{meant}`"));
    }
}

const RATE: &str = "a whole number of 1 or more";
const BURST: &str = "a whole number of 1 or more: what may pass at once";

/// A number of a limit. Zero and what is negative are left to [`judge`], as zero.
fn number(
    reader: &mut Reader,
    table: &toml::de::DeTable<'_>,
    limit: Span,
    key: &str,
    expected: &str,
) -> Option<(u64, Span)> {
    let Some((_, value)) = reader.get(table, key) else {
        reader.missing(limit, key, "the limit", expected);
        return None;
    };
    let number = reader.integer(value, expected)?;
    match u64::try_from(number) {
        Ok(number) => Some((number, value.span())),
        Err(_) => {
            reader.expected(value.span(), format!("a {key} of {number} makes no limit"), expected);
            None
        }
    }
}

/// Notes why a limit can't be kept, at the number to blame.
fn judge(
    reader: &mut Reader,
    every: Every,
    unit: Unit,
    rate: Option<(u64, Span)>,
    burst: Option<(u64, Span)>,
) {
    let period = every.seconds();
    let words = match unit {
        Unit::Packets => "packets",
        Unit::Octets => "octets",
    };
    if let Some((0, span)) = &rate {
        reader.expected(
            span.clone(),
            "a rate of 0 lets nothing pass",
            format!("{RATE}; for nothing at all: action = \"drop\""),
        );
    }
    if let Some((0, span)) = &burst {
        reader.expected(span.clone(), "a burst of 0 lets nothing pass", BURST);
    }
    let most = max_rate(unit).saturating_mul(period);
    let (Some((rate, rate_span)), burst) = (rate, burst) else { return };
    if rate == 0 {
        return;
    }
    if rate > most {
        let message = format!("a rate of {rate} {words} per {} is too high", every.label());
        reader.expected(rate_span, message, format!("at most {most}"));
        return;
    }
    let Some((burst @ 1.., burst_span)) = burst else { return };
    if Limit::new(rate, period, burst, unit) == Err(LimitError::BurstTooLong) {
        match longest_burst(rate, period, unit) {
            Some(longest) => {
                let days = MAX_DEPTH / UNITS_PER_S / 86_400;
                let message = format!(
                    "a burst of {burst} takes more than {days} days to come back at this rate"
                );
                reader.expected(burst_span, message, format!("at most {longest}"));
            }
            None => {
                let message = format!("a rate of {rate} {words} per {} is too low", every.label());
                reader.expected(rate_span, message, "a higher rate, or a limit in packets");
            }
        }
    }
}

/// The longest burst that can be kept at a rate, if any.
fn longest_burst(rate: u64, period: u64, unit: Unit) -> Option<u64> {
    let (mut kept, mut too_long) = (0, u64::MAX);
    while too_long - kept > 1 {
        let middle = kept + (too_long - kept) / 2;
        match Limit::new(rate, period, middle, unit) {
            Ok(_) => kept = middle,
            Err(_) => too_long = middle,
        }
    }
    (kept > 0).then_some(kept)
}
