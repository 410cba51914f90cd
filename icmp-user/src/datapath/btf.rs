//! Where the kernel keeps the members of one of its structures, by its own account: BTF, the type format of BPF
//! (Documentation/bpf/btf.rst).
//!
//! It is some megabytes, of which one structure is asked for, each time that something is attached. aya keeps its
//! reader to itself, and those that crates.io has make a tree of all of it, or are under the LGPL. So this walks
//! over the types without keeping any, which takes a millisecond.

use std::{fs, sync::LazyLock};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Where the kernel has its own.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// `struct btf_header`, as far as it is read.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: u16,
    version: u8,
    flags: u8,
    length: u32,
    type_offset: u32,
    type_length: u32,
    string_offset: u32,
    string_length: u32,
}

/// `struct btf_type`.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Type {
    name: u32,
    info: u32,
    size_or_type: u32,
}

/// `struct btf_member`.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Member {
    name: u32,
    ty: u32,
    offset: u32,
}

/// BTF_MAGIC, in the order of this machine.
const MAGIC: u16 = 0xeb9f;

// Kinds, linux/btf.h.
const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const ENUM64: u32 = 19;

impl Type {
    const fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    /// How many members, parameters or values it has.
    const fn count(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Whether the offsets of its members are those of bit fields, with their sizes above.
    const fn has_bit_fields(self) -> bool {
        self.info >> 31 != 0
    }

    /// The octets that follow it.
    const fn behind(self) -> Option<usize> {
        Some(match self.kind() {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * self.count(),
            ENUM | FUNC_PROTO => 8 * self.count(),
            // What only refers to another type, or names one.
            2 | 7..=12 | 16 | 18 => 0,
            _ => return None,
        })
    }
}

/// Where a TCP socket has `snd_una` and `snd_nxt`, in octets; `None` where the kernel doesn't say. It is asked once.
#[must_use]
pub fn tcp_sequence() -> Option<[u32; 2]> {
    static FOUND: LazyLock<Option<[u32; 2]>> =
        LazyLock::new(|| members(&fs::read(VMLINUX).ok()?, "tcp_sock", ["snd_una", "snd_nxt"]));
    *FOUND
}

/// Where the members of these names lie in a structure that this BTF tells of, in octets; `None` where it tells of
/// none such, or one isn't whole octets.
fn members<const N: usize>(btf: &[u8], structure: &str, members: [&str; N]) -> Option<[u32; N]> {
    let (header, _) = Header::read_from_prefix(btf).ok()?;
    if header.magic != MAGIC {
        return None;
    }
    let section = |offset: u32, length: u32| {
        btf.get(header.length as usize..)?.get(offset as usize..)?.get(..length as usize)
    };
    let mut types = section(header.type_offset, header.type_length)?;
    let strings = section(header.string_offset, header.string_length)?;
    let is = |offset: u32, name: &str| {
        let rest = strings.get(offset as usize..).and_then(|s| s.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    };
    while !types.is_empty() {
        let (ty, rest) = Type::read_from_prefix(types).ok()?;
        let behind = ty.behind()?;
        if ty.kind() == STRUCT && is(ty.name, structure) {
            let found = <[Member]>::ref_from_bytes(rest.get(..behind)?).ok()?;
            let offset = |name: &str| {
                let member = found.iter().find(|member| is(member.name, name))?;
                let bits =
                    if ty.has_bit_fields() { member.offset & 0xff_ffff } else { member.offset };
                (bits % 8 == 0).then_some(bits / 8)
            };
            let mut offsets = [0; N];
            for (to, name) in offsets.iter_mut().zip(members) {
                *to = offset(name)?;
            }
            return Some(offsets);
        }
        types = rest.get(behind..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The BTF of an unsigned integer, of a pointer to it, and of a structure with two such members.
    fn sample() -> Vec<u8> {
        let strings = b"\0u32\0sock\0a\0first\0next\0";
        let at = |name: &str| {
            let needle = format!("\0{name}\0").into_bytes();
            (strings.windows(needle.len()).position(|w| w == needle).unwrap() + 1) as u32
        };
        let words: Vec<u32> = [
            vec![at("u32"), INT << 24, 4, 32],
            vec![0, 2 << 24, 1],
            vec![at("a"), UNION << 24 | 1, 4, at("first"), 1, 0],
            // With bit fields: the upper octet of an offset is a size.
            vec![at("sock"), 1 << 31 | STRUCT << 24 | 3, 12],
            vec![at("a"), 1, 3 << 24 | 1, at("first"), 1, 32, at("next"), 1, 64],
        ]
        .concat();
        let types: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        btf.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(types);
        btf.extend(strings);
        btf
    }

    #[test]
    fn members_are_found_behind_types_of_other_kinds() {
        let btf = sample();
        assert_eq!(members(&btf, "sock", ["first", "next"]), Some([4, 8]));
        assert_eq!(members(&btf, "sock", ["next"]), Some([8]));
        // One that doesn't begin at an octet, one that there isn't, and beginnings of names.
        assert_eq!(members(&btf, "sock", ["a"]), None);
        assert_eq!(members(&btf, "sock", ["first", "last"]), None);
        assert_eq!(members(&btf, "soc", ["first"]), None);
        assert_eq!(members(&btf, "sock", ["nex"]), None);
        // Another kind of that name.
        assert_eq!(members(&btf, "a", ["first"]), None);
    }

    #[test]
    fn what_is_cut_or_none_has_no_members() {
        let btf = sample();
        for length in 0..btf.len() {
            assert_eq!(members(&btf[..length], "sock", ["first"]), None, "{length}");
        }
        let mut other = btf.clone();
        other[0] ^= 0xff;
        assert_eq!(members(&other, "sock", ["first"]), None);
        // A kind that there isn't yet.
        let mut new = btf;
        new[24 + 7] = 31;
        assert_eq!(members(&new, "sock", ["first"]), None);
    }
}
