//! Which classes are counted apart (row C1): every assigned pair of type and code, and every pair
//! that a rule names.
//!
//! The registry only grows, and nothing in it moves, since the counters of a running instance are
//! kept by its positions.

use super::Rule;
use super::compile::CompileError;
use icmp_common::abi::{
    CLASS_FIRST_PAIR, CLASSES, ClassKey, class_headerless, class_kind, class_other, family,
};
use icmp_common::classify::assigned;
use std::collections::HashSet;

/// The registry that this policy needs: what there was, with what it lacked behind.
pub(super) fn extend(present: &[ClassKey], rules: &[&Rule]) -> Result<Vec<ClassKey>, CompileError> {
    let fixed = fixed();
    let used =
        present.iter().rposition(|key| key.kind != class_kind::UNUSED).map_or(0, |last| last + 1);
    let mut keys = present[..used].to_vec();
    if keys.is_empty() {
        keys = fixed.clone();
    }
    if keys.len() < fixed.len() || keys[..fixed.len()] != fixed[..] || keys.len() > CLASSES {
        return Err(CompileError::Registry);
    }
    let mut known: HashSet<(u8, u8, u8)> = keys.iter().filter_map(pair).collect();
    let named = rules.iter().flat_map(|rule| named_pairs(rule));
    for (family, ty, code) in assigned().chain(named) {
        if known.insert((family, ty, code)) {
            keys.push(ClassKey { kind: class_kind::PAIR, family, ty, code });
        }
    }
    if keys.len() > CLASSES {
        return Err(CompileError::Classes { needed: keys.len() });
    }
    Ok(keys)
}

/// The family, type and code of a class, where it is one pair.
pub(super) fn pair(key: &ClassKey) -> Option<(u8, u8, u8)> {
    (key.kind == class_kind::PAIR).then_some((key.family, key.ty, key.code))
}

/// The classes that are no pairs.
fn fixed() -> Vec<ClassKey> {
    let key = |kind, family| ClassKey { kind, family, ty: 0, code: 0 };
    let mut keys = vec![key(class_kind::NOT_OURS, family::NONE); usize::from(CLASS_FIRST_PAIR)];
    for f in family::ALL {
        keys[usize::from(class_headerless(f))] = key(class_kind::HEADERLESS, f);
        keys[usize::from(class_other(f))] = key(class_kind::OTHER, f);
    }
    keys
}

/// The pairs that a rule names. What stands inside a range isn't named: one rule mustn't make
/// 65,536 series.
fn named_pairs(rule: &Rule) -> Vec<(u8, u8, u8)> {
    let pattern = &rule.pattern;
    let (Some(family), Some(types), Some(codes)) = (pattern.family, &pattern.types, &pattern.codes)
    else {
        return Vec::new();
    };
    types.named().flat_map(|ty| codes.named().map(move |code| (family, ty, code))).collect()
}
