//! What the policy says of an answer from the hook, as of anything else that this machine sends.
//!
//! XDP_TX passes no egress program, so the rule that an answer would have there is asked here: the same
//! table, the same buckets. What this machine sends is limited once, whoever made it.

use crate::{answer::Asked, limit, rule};
use icmp_common::{
    abi::{self, PolicyTable, action, hook, origin, policy_flag, rule_flag},
    parse::Packet,
    verdict::Reason,
};

/// [`icmpgate_sent_rule`]'s, where there is none.
const NO_RULE: u32 = u32::MAX;

/// Whether an answer, [`Asked::sent`], leaves as far as the policy's rules for what is sent go. `Err` is
/// what keeps it back: a limit that is spent, or `denied`.
#[inline(always)]
pub fn leaves(policy: &PolicyTable, asked: &Asked) -> Result<(), Reason> {
    let Some(sent) = rule::policy(hook::EGRESS) else { return Err(Reason::INTERNAL_ERROR) };
    // Replaced since the packet was decided on: a packet sees one policy, whole.
    if sent.generation != policy.generation {
        return Err(Reason::DENIED);
    }
    let number = icmpgate_sent_rule(sent, &asked.sent);
    if number == NO_RULE {
        return Err(Reason::INTERNAL_ERROR);
    }
    // A mask and not a comparison, as in `decide`.
    let rule = &sent.rules[number as usize & (abi::RULES - 1)];
    let refused = match rule.action {
        action::PASS => return Ok(()),
        action::LIMIT => match limit::ask_rule(rule, sent, &asked.sent, asked.sent_octets) {
            Reason::WITHIN_LIMIT => return Ok(()),
            refused => refused,
        },
        _ => Reason::DENIED,
    };
    let observing = sent.flags & policy_flag::OBSERVE != 0 || rule.flags & rule_flag::OBSERVE != 0;
    if observing { Ok(()) } else { Err(refused) }
}

/// The number of the rule for a packet that this machine sends, or [`NO_RULE`]. A global function, so
/// that what it takes of the stack isn't beneath the limits.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_sent_rule(policy: *const PolicyTable, packet: *const Packet) -> u32 {
    // SAFETY: as in `icmpgate_limits`.
    let (Some(policy), Some(packet)) = (unsafe { (policy.as_ref(), packet.as_ref()) }) else {
        return NO_RULE;
    };
    let Some(entry) = rule::class(policy, packet) else { return NO_RULE };
    let number = rule::number(policy, packet, entry, hook::EGRESS, || origin::GENERATED);
    number.map_or(NO_RULE, u32::from)
}
