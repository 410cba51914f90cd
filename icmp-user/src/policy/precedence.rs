//! Which of the rules that match a packet decides (row P1): the operator's before the profile's;
//! then the one more specific in zone, interface, code, type, family, and the rest, in this order.
//!
//! How specific a zone is depends on the packet: of the zones that its source is in, the one whose
//! prefix is longest comes first. Everything else is a [`Rank`], which a rule has by itself.

use super::{Layer, Pattern, Rule};

/// How specific a rule is, zone aside. The lesser comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    layer: Layer,
    any_interface: bool,
    /// How many codes: one value is more specific than a range, a narrow range than a wide one,
    /// and any range than none.
    codes: u32,
    types: u32,
    any_family: bool,
    /// How many of hook, destination or origin, and fragment are left open.
    open: usize,
}

impl Rank {
    pub fn of(rule: &Rule) -> Self {
        const ANY: u32 = 257;
        let Pattern {
            hook,
            family,
            types,
            codes,
            interface,
            destination,
            origin,
            fragment,
            zone: _,
        } = &rule.pattern;
        let rest = [hook.is_none(), destination.or(*origin).is_none(), fragment.is_none()];
        Self {
            layer: rule.layer,
            any_interface: interface.is_none(),
            codes: codes.as_ref().map_or(ANY, |c| c.count()),
            types: types.as_ref().map_or(ANY, |t| t.count()),
            any_family: family.is_none(),
            open: rest.into_iter().filter(|open| *open).count(),
        }
    }
}

/// Whether two rules of equal rank tie: some packet matches both, and they are of the same zone.
/// Rules of two zones never tie, since no packet has two zones of the same prefix.
pub(super) fn tie(a: &Rule, b: &Rule) -> bool {
    let (a, b) = (&a.pattern, &b.pattern);
    a.zone == b.zone
        && meet(a.interface.as_ref(), b.interface.as_ref())
        && meet(a.family, b.family)
        && a.hook() == b.hook()
        && meet(a.destination, b.destination)
        && meet(a.origin, b.origin)
        && meet(a.fragment, b.fragment)
        && both(a.types.as_ref(), b.types.as_ref()).is_none_or(|(a, b)| a.overlaps(b))
        && both(a.codes.as_ref(), b.codes.as_ref()).is_none_or(|(a, b)| a.overlaps(b))
}

fn both<T>(a: Option<T>, b: Option<T>) -> Option<(T, T)> {
    a.zip(b)
}

/// Whether what two rules say of one thing can hold of one packet.
fn meet<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    both(a, b).is_none_or(|(a, b)| a == b)
}
