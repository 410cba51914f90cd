//! Which link types hold Ethernet frames, and where in a record the frame lies.
//!
//! The numbers are those of the registry of link-layer header types
//! (<https://www.tcpdump.org/linktypes.html>). Four of them hold Ethernet frames, each at a place
//! that can be told without knowing the device:
//!
//! - ETHERNET (1): the frame, with a check sequence where the file says so.
//! - NETANALYZER (240): a pseudo-header of 4 octets, the frame, its check sequence.
//! - NETANALYZER_TRANSPARENT (241): likewise, with the preamble and the start-of-frame delimiter
//!   before the frame.
//! - ETHERNET_MPACKET (274): preamble, delimiter, frame, check sequence (IEEE 802.3br). Parts of a
//!   frame that was pre-empted have other delimiters, and aren't frames.
//!
//! Switch tags (DSA_TAG_*), PPI, ERF, PKTAP and the like put a header of the vendor's or of varying
//! form before or into the frame: these are refused, by name.

use super::Content;
use std::fmt;

/// A link-layer header type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

/// The check sequence of an Ethernet frame, in octets.
const FCS: usize = 4;
/// The pseudo-header of netANALYZER.
const NETANALYZER_HEADER: usize = 4;
/// In its second octet: what follows isn't a frame but the change of an input.
const NETANALYZER_GPIO: u8 = 1;
/// An octet of the preamble (IEEE 802.3 3.2.1).
const PREAMBLE: u8 = 0x55;
/// The start-of-frame delimiter, which is also that of an express mPacket (IEEE 802.3br 99.3.3).
const START_OF_FRAME: u8 = 0xd5;

impl LinkType {
    /// Ethernet frames and nothing else.
    pub const ETHERNET: Self = Self(1);
    /// With the header of netANALYZER, and the check sequence.
    pub const NETANALYZER: Self = Self(240);
    /// Likewise, and with the preamble.
    pub const NETANALYZER_TRANSPARENT: Self = Self(241);
    /// mPackets, as they are on the wire.
    pub const ETHERNET_MPACKET: Self = Self(274);

    /// Whether its records hold Ethernet frames.
    #[must_use]
    pub fn is_ethernet(self) -> bool {
        matches!(
            self,
            Self::ETHERNET
                | Self::NETANALYZER
                | Self::NETANALYZER_TRANSPARENT
                | Self::ETHERNET_MPACKET
        )
    }

    /// Its name in the registry, without `LINKTYPE_`; `None` for what isn't often met.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.binary_search_by_key(&self.0, |(number, _)| *number).ok().map(|i| NAMES[i].1)
    }

    /// What to do instead, as the end of a sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self.0 {
            113 | 276 => "capture on one interface by its name instead of on `any`",
            12 | 14 | 101 | 228 | 229 => {
                "its packets begin with the IP header; capture on an interface with Ethernet headers"
            }
            _ => "capture on an interface with Ethernet headers",
        }
    }

    /// The frame in a record of this link type. `original` is how long the record was on the wire,
    /// `fcs` how many octets of check sequence the file says that frames end with.
    pub(super) fn frame(self, record: &[u8], original: usize, fcs: usize) -> Content<'_> {
        // Some tools state less than they captured; what is there is then the whole.
        let original = original.max(record.len());
        let (start, fcs) = match self {
            Self::ETHERNET => (Some(0), fcs),
            Self::NETANALYZER | Self::NETANALYZER_TRANSPARENT
                if record.get(1).is_some_and(|flags| flags & NETANALYZER_GPIO != 0) =>
            {
                (None, FCS)
            }
            Self::NETANALYZER => (Some(NETANALYZER_HEADER), FCS),
            Self::NETANALYZER_TRANSPARENT => (start_of_frame(record, NETANALYZER_HEADER), FCS),
            Self::ETHERNET_MPACKET => (start_of_frame(record, 0), FCS),
            other => return Content::NotEthernet(other),
        };
        let Some(start) = start else { return Content::NoStart };
        let octets = record.get(start..).unwrap_or_default();
        let whole = original.saturating_sub(start).saturating_sub(fcs);
        match octets.get(..whole) {
            Some(frame) => Content::Ethernet(frame),
            None => Content::Cut { captured: octets.len(), original: whole },
        }
    }
}

/// Where the frame begins behind the preamble and its delimiter.
fn start_of_frame(record: &[u8], preamble: usize) -> Option<usize> {
    let octets = record.get(preamble..)?;
    let delimiter = octets.iter().position(|octet| *octet != PREAMBLE)?;
    (octets.get(delimiter) == Some(&START_OF_FRAME)).then_some(preamble + delimiter + 1)
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} (LINKTYPE_{name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The names of what is met in captures, in the order of the numbers.
const NAMES: &[(u16, &str)] = &[
    (0, "NULL"),
    (1, "ETHERNET"),
    (6, "IEEE802_5"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (101, "RAW"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (113, "LINUX_SLL"),
    (114, "LTALK"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (127, "IEEE802_11_RADIOTAP"),
    (143, "DOCSIS"),
    (147, "USER0"),
    (163, "IEEE802_11_AVS"),
    (166, "PPP_PPPD"),
    (178, "JUNIPER_ETHER"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (190, "CAN20B"),
    (192, "PPI"),
    (195, "IEEE802_15_4_WITHFCS"),
    (197, "ERF"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (220, "USB_LINUX_MMAPPED"),
    (224, "FC_2"),
    (226, "IPNET"),
    (227, "CAN_SOCKETCAN"),
    (228, "IPV4"),
    (229, "IPV6"),
    (230, "IEEE802_15_4_NOFCS"),
    (231, "DBUS"),
    (239, "NFLOG"),
    (240, "NETANALYZER"),
    (241, "NETANALYZER_TRANSPARENT"),
    (242, "IPOIB"),
    (247, "INFINIBAND"),
    (249, "USBPCAP"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (258, "PKTAP"),
    (259, "EPON"),
    (271, "VSOCK"),
    (272, "NORDIC_BLE"),
    (274, "ETHERNET_MPACKET"),
    (276, "LINUX_SLL2"),
    (281, "DSA_TAG_BRCM"),
    (282, "DSA_TAG_BRCM_PREPEND"),
    (283, "IEEE802_15_4_TAP"),
    (284, "DSA_TAG_DSA"),
    (285, "DSA_TAG_EDSA"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 20 octets that no header could be taken for.
    fn octets() -> Vec<u8> {
        (100..120).collect()
    }

    fn record(before: &[u8], after: usize) -> Vec<u8> {
        [before, &octets(), &vec![0xee; after]].concat()
    }

    #[test]
    fn names_are_in_the_order_in_which_they_are_searched() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(LinkType(113).to_string(), "113 (LINKTYPE_LINUX_SLL)");
        assert_eq!(LinkType(65_000).to_string(), "65000");
    }

    #[test]
    fn a_frame_lies_where_its_link_type_says() {
        let preamble = [0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5];
        let header = [0, 0x04, 0x18, 0];
        let cases: [(LinkType, Vec<u8>, usize); 6] = [
            (LinkType::ETHERNET, record(&[], 0), 0),
            (LinkType::ETHERNET, record(&[], 4), 4),
            (LinkType::NETANALYZER, record(&header, 4), 0),
            (LinkType::NETANALYZER_TRANSPARENT, record(&[&header[..], &preamble].concat(), 4), 0),
            (LinkType::ETHERNET_MPACKET, record(&preamble, 4), 0),
            // A device may have taken part of the preamble.
            (LinkType::ETHERNET_MPACKET, record(&preamble[5..], 4), 0),
        ];
        for (link, record, fcs) in cases {
            assert!(link.is_ethernet());
            let content = link.frame(&record, record.len(), fcs);
            assert_eq!(content, Content::Ethernet(&octets()), "{link}");
        }
    }

    #[test]
    fn a_frame_that_was_cut_says_what_of_it_there_is() {
        let cut = |captured, original| Content::Cut { captured, original };
        let record = record(&[], 0);
        assert_eq!(LinkType::ETHERNET.frame(&record, 24, 0), cut(20, 24));
        // Only the check sequence was cut, so the frame is whole.
        assert_eq!(LinkType::ETHERNET.frame(&record, 24, 4), Content::Ethernet(&octets()));
        assert_eq!(LinkType::ETHERNET.frame(&record, 26, 4), cut(20, 22));
        assert_eq!(LinkType::NETANALYZER.frame(&[0, 4], 60, 0), cut(0, 52));
    }

    #[test]
    fn what_states_less_than_it_holds_is_taken_as_it_is() {
        let record = record(&[], 0);
        assert_eq!(LinkType::ETHERNET.frame(&record, 10, 0), Content::Ethernet(&octets()));
    }

    #[test]
    fn what_is_no_frame_is_said_to_be_none() {
        // The rest of a frame that was pre-empted, an input that changed, an empty record.
        let rest = [0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x61, 0xe6, 1, 2, 3];
        assert_eq!(LinkType::ETHERNET_MPACKET.frame(&rest, rest.len(), 0), Content::NoStart);
        let input = [0, 0x05, 0, 0, 9, 9, 9, 9];
        assert_eq!(LinkType::NETANALYZER.frame(&input, input.len(), 0), Content::NoStart);
        assert_eq!(LinkType::ETHERNET_MPACKET.frame(&[], 0, 0), Content::NoStart);
        assert_eq!(LinkType::ETHERNET.frame(&[], 0, 4), Content::Ethernet(&[]));
        let raw = LinkType(101);
        assert_eq!(raw.frame(&[0x45], 1, 0), Content::NotEthernet(raw));
    }
}
