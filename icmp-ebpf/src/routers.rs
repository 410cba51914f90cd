//! Router advertisements, held against the routers that the policy lists. Nothing else pays for it.

use icmp_common::{
    abi::{PolicyTable, ROUTERS, Rule, rule_flag},
    link::advertises_router,
    parse::Packet,
    wire::ipv6::Address,
};

/// Whether a router advertisement that arrives is from a listed router, where its rule asks; `None` where not, and of
/// any other message.
#[inline(always)]
pub fn judge(packet: &Packet, policy: &PolicyTable, rule: &Rule) -> Option<bool> {
    let asks = rule.flags & (rule_flag::ROUTERS | rule_flag::EXCEPT_LISTED_ROUTERS) != 0;
    if !asks || !advertises_router(packet.family, packet.ty) {
        return None;
    }
    let Address([high, low]) = packet.source;
    Some(icmpgate_is_listed(policy, high, low) != 0)
}

/// Whether an address, in two words as they lie in the packet, is a listed router's: 1, or 0. A global function, which
/// the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_is_listed(policy: *const PolicyTable, high: u64, low: u64) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(policy) = (unsafe { policy.as_ref() }) else { return 0 };
    for i in 0..ROUTERS {
        if i as u32 >= policy.routers {
            break;
        }
        let router = &policy.listed[i];
        if router[0] == high && router[1] == low {
            return 1;
        }
    }
    0
}
