//! Reading pcap and pcapng, frame by frame, as they come: a capture may be larger than memory, or a
//! pipe that another tool still writes.

use super::{Error, LinkType};
use pcap_parser::{
    Block, LegacyPcapBlock, OptionCode, PcapError, PcapHeader,
    nom::{self, IResult},
    parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// What there is of it.
    pub content: Content<'a>,
}

/// What a capture holds of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The whole frame, from the Ethernet header on, without its check sequence.
    Ethernet(&'a [u8]),
    /// Only its beginning: the capture was made with a shorter snapshot length.
    Cut {
        /// How many octets are there.
        captured: usize,
        /// How many it had.
        original: usize,
    },
    /// A packet of an interface whose link type isn't Ethernet.
    NotEthernet(LinkType),
    /// A record without the start of a frame: an event, or the rest of a frame that was pre-empted.
    NoStart,
}

/// How much is read at once.
const CHUNK: usize = 1 << 18;
/// The longest packet that libpcap and Wireshark take for one (MAXIMUM_SNAPLEN); more is damage.
const MOST_PACKET: usize = 1 << 18;
/// The longest block that Wireshark takes for one.
const MOST_BLOCK: usize = 1 << 24;

/// The file header of pcap.
const PCAP_HEADER: usize = 24;
/// What stands before a packet in pcap; 8 octets more in the form of 1998's patch by A. Kuznetsov.
const PCAP_RECORD: usize = 16;
const PCAP_RECORD_MODIFIED: usize = 24;
/// In the link type of a pcap: whether the length of the check sequence is stated, and where, in
/// units of 2 octets (draft-ietf-opsawg-pcap, 4).
const PCAP_FCS_STATED: u32 = 1 << 26;
const PCAP_FCS_SHIFT: u32 = 28;

/// What every block of pcapng begins with, and a section goes on with its byte-order magic
/// (draft-ietf-opsawg-pcapng, 3.1 and 4.1).
const BLOCK_HEADER: usize = 8;
const SECTION_START: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BYTE_ORDER_BIG: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
const BYTE_ORDER_LITTLE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
/// The least that a block has, and a section header block.
const LEAST_BLOCK: usize = 12;
const LEAST_SECTION: usize = 28;
/// Where the packet lies in a simple packet block, and in an enhanced or an obsolete one.
const SIMPLE_PACKET_DATA: usize = 12;
const PACKET_DATA: usize = 28;
/// The obsolete packet block, which `pcap-parser` doesn't know.
const OBSOLETE_PACKET: u32 = 2;
/// Option of an interface: the length of its frames' check sequence.
const IF_FCSLEN: OptionCode = OptionCode(13);
/// Option of a packet, with the same in bits 5 to 8, in octets.
const EPB_FLAGS: OptionCode = OptionCode(2);

/// An open capture.
pub struct Capture<R> {
    name: String,
    buffer: Buffer<R>,
    format: Format,
    /// How many frames have been found.
    frames: u64,
}

enum Format {
    Pcap { link: LinkType, fcs: usize, big_endian: bool, modified: bool },
    Pcapng { big_endian: bool, interfaces: Vec<Interface> },
}

/// An interface of a section of pcapng.
#[derive(Clone, Copy)]
struct Interface {
    link: LinkType,
    snaplen: usize,
    fcs: usize,
}

/// Where a packet lies in the buffer, and what is known of it.
#[derive(Clone, Copy)]
struct Record {
    at: usize,
    captured: usize,
    original: usize,
    link: LinkType,
    fcs: usize,
}

impl Capture<Box<dyn Read>> {
    /// Opens a file, or standard input where the path is `-`.
    ///
    /// # Errors
    /// Where it can't be read, or isn't a capture of Ethernet frames.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Self::new("standard input", Box::new(io::stdin().lock()));
        }
        let name = path.display().to_string();
        let open = |source| Error::Open { name: name.clone(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(Error::Directory { name });
        }
        Self::new(&name, Box::new(file))
    }
}

impl<R: Read> Capture<R> {
    /// Reads the file header; `name` stands for the file in messages.
    ///
    /// # Errors
    /// Where there is none, or it is of a pcap that doesn't hold Ethernet frames. Of a pcapng that
    /// shows with its first frame.
    pub fn new(name: &str, reader: R) -> Result<Self, Error> {
        let mut capture = Self {
            name: name.to_owned(),
            buffer: Buffer::new(reader),
            format: Format::Pcapng { big_endian: false, interfaces: Vec::new() },
            frames: 0,
        };
        capture.fill(4)?;
        let start = capture.buffer.data();
        if start.is_empty() {
            return Err(Error::Empty { name: name.to_owned() });
        }
        if start.starts_with(&SECTION_START) {
            // Its header is a block like the others.
            return Ok(capture);
        }
        if !is_pcap(start) {
            let hint = hint(start);
            return Err(Error::NotACapture { name: name.to_owned(), hint });
        }
        capture.require(PCAP_HEADER, || "the file header".to_owned())?;
        let header = match parse_pcap_header(capture.buffer.data()) {
            Ok((_, header)) => header,
            Err(_) => return Err(Error::NotACapture { name: name.to_owned(), hint: "" }),
        };
        let (link, fcs) = link_of(&header);
        if !link.is_ethernet() {
            return Err(Error::LinkType { name: name.to_owned(), link });
        }
        let (big_endian, modified) = (header.is_bigendian(), header.is_modified_format());
        capture.format = Format::Pcap { link, fcs, big_endian, modified };
        capture.buffer.consume(PCAP_HEADER);
        Ok(capture)
    }

    /// Whether there is more to take without waiting for the reader.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.next_length() {
            Some(length) => self.buffer.data().len() >= length,
            None => false,
        }
    }

    /// The next frame; `None` at the end of the file.
    ///
    /// # Errors
    /// Where the file ends within a frame, is damaged, or can't be read. Nothing more can be read
    /// then.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let Some(record) = self.next_record()? else { return Ok(None) };
        self.frames += 1;
        let octets = self.buffer.taken(record.at, record.captured);
        let content = record.link.frame(octets, record.original, record.fcs);
        Ok(Some(Frame { number: self.frames, content }))
    }

    fn next_record(&mut self) -> Result<Option<Record>, Error> {
        match self.format {
            Format::Pcap { link, fcs, big_endian, modified } => {
                self.next_packet(link, fcs, big_endian, modified)
            }
            Format::Pcapng { .. } => loop {
                match self.next_block()? {
                    Step::End => return Ok(None),
                    Step::Packet(record) => return Ok(Some(record)),
                    Step::Other => {}
                }
            },
        }
    }

    /// How long the next record is, as far as what has been read tells.
    fn next_length(&self) -> Option<usize> {
        let data = self.buffer.data();
        match &self.format {
            Format::Pcap { big_endian, modified, .. } => {
                let header = if *modified { PCAP_RECORD_MODIFIED } else { PCAP_RECORD };
                Some(header.saturating_add(word(data, 8, *big_endian)?))
            }
            Format::Pcapng { big_endian, .. } => {
                let big_endian = match data.get(..4)? {
                    // A section states its own byte order.
                    start if start == SECTION_START => data.get(8..12)? == BYTE_ORDER_BIG,
                    _ => *big_endian,
                };
                word(data, 4, big_endian)
            }
        }
    }

    fn next_packet(
        &mut self,
        link: LinkType,
        fcs: usize,
        big_endian: bool,
        modified: bool,
    ) -> Result<Option<Record>, Error> {
        let frame = self.frames + 1;
        let what = || format!("frame {frame}");
        let header = if modified { PCAP_RECORD_MODIFIED } else { PCAP_RECORD };
        self.fill(header)?;
        if self.buffer.data().is_empty() {
            return Ok(None);
        }
        self.require(header, what)?;
        let length = self.next_length().unwrap_or(header);
        if length > header + MOST_PACKET {
            let fault = format!("claims {} octets, more than a packet has", length - header);
            return Err(self.damaged(what(), fault));
        }
        self.require(length, what)?;
        let parse: fn(&[u8]) -> Parsed<'_, LegacyPcapBlock<'_>> = match (big_endian, modified) {
            (_, true) => parse_pcap_frame_modified,
            (true, false) => parse_pcap_frame_be,
            (false, false) => parse_pcap_frame,
        };
        let original = match parse(&self.buffer.data()[..length]) {
            Ok((_, packet)) => packet.origlen as usize,
            Err(error) => return Err(self.damaged(what(), fault(&error))),
        };
        let at = self.buffer.consume(length) + header;
        Ok(Some(Record { at, captured: length - header, original, link, fcs }))
    }

    fn next_block(&mut self) -> Result<Step, Error> {
        let frames = self.frames;
        let what = || match frames {
            0 => "the block before frame 1".to_owned(),
            n => format!("the block behind frame {n}"),
        };
        self.fill(LEAST_BLOCK)?;
        if self.buffer.data().is_empty() {
            return Ok(Step::End);
        }
        self.require(LEAST_BLOCK, what)?;
        let data = self.buffer.data();
        let is_section = data.starts_with(&SECTION_START);
        if is_section
            && data[BLOCK_HEADER..LEAST_BLOCK] != BYTE_ORDER_BIG
            && data[BLOCK_HEADER..LEAST_BLOCK] != BYTE_ORDER_LITTLE
        {
            return Err(self.damaged(what(), "has a section header without byte order".to_owned()));
        }
        let length = self.next_length().unwrap_or(LEAST_BLOCK);
        let least = if is_section { LEAST_SECTION } else { LEAST_BLOCK };
        if length < least || length > MOST_BLOCK {
            let fault = format!("claims {length} octets, which no block has");
            return Err(self.damaged(what(), fault));
        }
        self.require(length, what)?;
        let parsed = self.parse_block(length);
        let step = parsed.map_err(|fault| self.damaged(what(), fault))?;
        let at = self.buffer.consume(length);
        let Step::Packet(mut record) = step else { return Ok(step) };
        record.at += at;
        let Format::Pcapng { interfaces, .. } = &self.format else { return Ok(step) };
        // Frames of some interfaces can be left out, but not all of them.
        if !interfaces.iter().any(|i| i.link.is_ethernet()) {
            return Err(Error::LinkType { name: self.name.clone(), link: record.link });
        }
        Ok(Step::Packet(record))
    }

    /// Parses the block of this length that is whole in the buffer. The place of a packet is
    /// relative to it. An error says what is wrong with the block.
    fn parse_block(&mut self, length: usize) -> Result<Step, String> {
        let Format::Pcapng { big_endian, interfaces } = &mut self.format else {
            return Ok(Step::End);
        };
        let data = &self.buffer.data()[..length];
        let parsed = if *big_endian { parse_block_be(data) } else { parse_block_le(data) };
        let block = parsed.map_err(|error| fault(&error))?.1;
        let interface = |number: u32| {
            let found = usize::try_from(number).ok().and_then(|n| interfaces.get(n).copied());
            found.ok_or_else(|| {
                format!("is of interface {number}, and {} are described", interfaces.len())
            })
        };
        let packet = |interface: Interface, at, captured: usize, original: u32, fcs| {
            if at + captured > length {
                return Err(format!("claims {captured} octets of packet, more than it holds"));
            }
            let (link, original) = (interface.link, original as usize);
            Ok(Step::Packet(Record { at, captured, original, link, fcs }))
        };
        match block {
            Block::SectionHeader(section) => {
                *big_endian = section.big_endian();
                interfaces.clear();
                Ok(Step::Other)
            }
            Block::InterfaceDescription(description) => {
                let fcs = description.options.iter().find(|o| o.code == IF_FCSLEN);
                interfaces.push(Interface {
                    link: LinkType(description.linktype.0 as u16),
                    snaplen: description.snaplen as usize,
                    fcs: fcs.and_then(|o| o.value().first()).map_or(0, |n| fcs_octets(*n)),
                });
                Ok(Step::Other)
            }
            Block::EnhancedPacket(p) => {
                let interface = interface(p.if_id)?;
                let flags = p.options.iter().find(|o| o.code == EPB_FLAGS);
                let flags = flags.and_then(|o| word(o.value(), 0, *big_endian)).unwrap_or(0);
                let fcs = Some(flags >> 5 & 0xf).filter(|n| *n != 0).unwrap_or(interface.fcs);
                packet(interface, PACKET_DATA, p.caplen as usize, p.origlen, fcs)
            }
            Block::SimplePacket(p) => {
                let interface = interface(0)?;
                // It doesn't say how much was captured: that is the lesser of the packet and the
                // snapshot length, of which 0 is none.
                let snaplen = if interface.snaplen == 0 { usize::MAX } else { interface.snaplen };
                let captured = snaplen.min(p.origlen as usize).min(p.data.len());
                packet(interface, SIMPLE_PACKET_DATA, captured, p.origlen, interface.fcs)
            }
            Block::Unknown(_) if word(data, 0, *big_endian) == Some(OBSOLETE_PACKET as usize) => {
                let field = |at| word(data, at, *big_endian).unwrap_or(0);
                // Two halves of a word: the interface, and how many packets were lost.
                let id = if *big_endian { field(8) >> 16 } else { field(8) & 0xffff };
                let interface = interface(id as u32)?;
                packet(interface, PACKET_DATA, field(20), field(24) as u32, interface.fcs)
            }
            _ => Ok(Step::Other),
        }
    }

    /// Has that many octets in the buffer, or all that there are.
    fn fill(&mut self, octets: usize) -> Result<(), Error> {
        let offset = self.buffer.offset;
        let read = self.buffer.fill(octets);
        read.map_err(|source| Error::Read { name: self.name.clone(), offset, source })
    }

    /// Has that many octets in the buffer.
    fn require(&mut self, octets: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.fill(octets)?;
        let found = self.buffer.data().len();
        if found >= octets {
            return Ok(());
        }
        let (name, offset) = (self.name.clone(), self.buffer.offset);
        let (needed, found) = (octets as u64, found as u64);
        Err(Error::Truncated { name, what: what(), offset, needed, found })
    }

    fn damaged(&self, what: String, fault: String) -> Error {
        Error::Damaged { name: self.name.clone(), what, offset: self.buffer.offset, fault }
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, PcapError<&'a [u8]>>;

/// What a block was.
#[derive(Clone, Copy)]
enum Step {
    Packet(Record),
    Other,
    End,
}

/// Octets that have been read and not yet taken.
struct Buffer<R> {
    reader: R,
    octets: Vec<u8>,
    /// Of these, those that are read and not yet taken.
    start: usize,
    end: usize,
    /// How many were taken in all.
    offset: u64,
    exhausted: bool,
}

impl<R: Read> Buffer<R> {
    fn new(reader: R) -> Self {
        Self { reader, octets: vec![0; CHUNK], start: 0, end: 0, offset: 0, exhausted: false }
    }

    fn data(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    /// Octets that were taken last: `fill` is the only one to move them.
    fn taken(&self, at: usize, length: usize) -> &[u8] {
        self.octets.get(at..at + length).unwrap_or_default()
    }

    /// Takes octets that are there, and tells where in the buffer they lie.
    fn consume(&mut self, octets: usize) -> usize {
        let at = self.start;
        self.start = (self.start + octets).min(self.end);
        self.offset += (self.start - at) as u64;
        at
    }

    fn fill(&mut self, octets: usize) -> io::Result<()> {
        if self.data().len() >= octets {
            return Ok(());
        }
        self.octets.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Grows with what is there, and not to what a damaged length claims.
        while self.end < octets && !self.exhausted {
            if self.end == self.octets.len() {
                self.octets.resize(self.end + CHUNK, 0);
            }
            match self.reader.read(&mut self.octets[self.end..]) {
                Ok(0) => self.exhausted = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A 32-bit word of the file.
fn word(data: &[u8], at: usize, big_endian: bool) -> Option<usize> {
    let octets = *data.get(at..)?.first_chunk::<4>()?;
    let word = if big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) };
    usize::try_from(word).ok()
}

fn is_pcap(start: &[u8]) -> bool {
    const MAGICS: [[u8; 4]; 5] = [
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x34, 0xcd, 0xb2, 0xa1],
    ];
    MAGICS.iter().any(|magic| start.starts_with(magic))
}

/// The link type of a pcap, and the octets of check sequence that its frames end with.
fn link_of(header: &PcapHeader) -> (LinkType, usize) {
    let field = header.network.0 as u32;
    let stated = field & PCAP_FCS_STATED != 0;
    let fcs = if stated { 2 * (field >> PCAP_FCS_SHIFT) as usize } else { 0 };
    (LinkType(field as u16), fcs)
}

/// The option says bits in its text and octets in its example, and both are written.
fn fcs_octets(stated: u8) -> usize {
    usize::from(if stated >= 16 { stated / 8 } else { stated })
}

/// What a file might be that is no capture.
fn hint(start: &[u8]) -> &'static str {
    match start {
        [0x1f, 0x8b, ..] => "; it is compressed: use `gunzip`, or pipe `zcat` into --pcap -",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "; it is compressed: use `unzstd`, or pipe `zstdcat` into --pcap -"
        }
        [0xfd, b'7', b'z', b'X', ..] => {
            "; it is compressed: use `unxz`, or pipe `xzcat` into --pcap -"
        }
        _ if start.iter().take(64).all(|c| c.is_ascii_hexdigit() || c.is_ascii_whitespace()) => {
            "; if it is a frame in hexadecimal digits, use --hex"
        }
        _ => "; `editcap` turns captures of other formats into pcapng",
    }
}

/// What the parser found wrong, without the octets that it found it in.
fn fault(error: &nom::Err<PcapError<&[u8]>>) -> String {
    match error {
        nom::Err::Incomplete(_) => "claims more octets within than it has".to_owned(),
        _ => "has lengths that contradict each other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that differ in length and content.
    fn octets(n: u8) -> Vec<u8> {
        vec![n; 60 + usize::from(n)]
    }

    /// Writes integers in the byte order of a file.
    struct File {
        big_endian: bool,
        octets: Vec<u8>,
    }

    impl File {
        fn new(big_endian: bool) -> Self {
            Self { big_endian, octets: Vec::new() }
        }

        fn u16(&mut self, n: u16) -> &mut Self {
            let o = if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
            self.octets.extend(o);
            self
        }

        fn u32(&mut self, n: u32) -> &mut Self {
            let o = if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
            self.octets.extend(o);
            self
        }

        fn raw(&mut self, octets: &[u8]) -> &mut Self {
            self.octets.extend(octets);
            self
        }

        fn pcap(big_endian: bool, magic: u32, network: u32) -> Self {
            let mut file = Self::new(big_endian);
            // A snapshot length that the frames exceed, as real files have.
            file.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(50).u32(network);
            file
        }

        fn packet(&mut self, octets: &[u8], original: usize) -> &mut Self {
            self.u32(1).u32(2).u32(octets.len() as u32).u32(original as u32).raw(octets)
        }

        fn block(&mut self, ty: u32, body: &[u8]) -> &mut Self {
            let padding = body.len().next_multiple_of(4) - body.len();
            let length = (12 + body.len() + padding) as u32;
            self.u32(ty).u32(length).raw(body).raw(&vec![0; padding]).u32(length)
        }

        fn section(&mut self, big_endian: bool) -> &mut Self {
            self.big_endian = big_endian;
            let mut body = Self::new(big_endian);
            body.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX);
            self.block(0x0a0d_0d0a, &body.octets)
        }

        fn interface(&mut self, link: u16, snaplen: u32, fcs: Option<u8>) -> &mut Self {
            let mut body = Self::new(self.big_endian);
            body.u16(link).u16(0).u32(snaplen);
            if let Some(fcs) = fcs {
                body.u16(13).u16(1).raw(&[fcs, 0, 0, 0]).u32(0);
            }
            self.block(1, &body.octets)
        }

        fn enhanced(&mut self, interface: u32, octets: &[u8], original: usize) -> &mut Self {
            self.enhanced_with(interface, octets, original, None)
        }

        fn enhanced_with(
            &mut self,
            interface: u32,
            octets: &[u8],
            original: usize,
            flags: Option<u32>,
        ) -> &mut Self {
            let mut body = Self::new(self.big_endian);
            body.u32(interface).u32(0).u32(0).u32(octets.len() as u32).u32(original as u32);
            body.raw(octets).raw(&vec![0; octets.len().next_multiple_of(4) - octets.len()]);
            if let Some(flags) = flags {
                body.u16(2).u16(4).u32(flags).u32(0);
            }
            self.block(6, &body.octets)
        }

        fn simple(&mut self, octets: &[u8], original: usize) -> &mut Self {
            let mut body = Self::new(self.big_endian);
            body.u32(original as u32).raw(octets);
            self.block(3, &body.octets)
        }
    }

    /// A reader that gives a few octets at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(to.len());
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// What a test sees of a frame.
    #[derive(Debug, PartialEq)]
    enum Seen {
        Whole(Vec<u8>),
        Cut(usize, usize),
        Other(u16),
        NoStart,
    }

    fn read_all(mut capture: Capture<impl Read>) -> (Vec<Seen>, Option<Error>) {
        let mut seen = Vec::new();
        loop {
            match capture.next_frame() {
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error)),
                Ok(Some(Frame { number, content })) => {
                    assert_eq!(number, seen.len() as u64 + 1);
                    seen.push(match content {
                        Content::Ethernet(octets) => Seen::Whole(octets.to_vec()),
                        Content::Cut { captured, original } => Seen::Cut(captured, original),
                        Content::NotEthernet(link) => Seen::Other(link.0),
                        Content::NoStart => Seen::NoStart,
                    });
                }
            }
        }
    }

    /// Reads a file whole and in small pieces, which must come to the same.
    fn read(octets: &[u8]) -> (Vec<Seen>, Option<String>) {
        let mut results = [1, 7, usize::MAX].into_iter().map(|piece| {
            let capture = Capture::new("f", Dribble(octets, piece));
            let (seen, error) = match capture {
                Ok(capture) => read_all(capture),
                Err(error) => (Vec::new(), Some(error)),
            };
            (seen, error.map(|e| e.to_string()))
        });
        let first = results.next().unwrap();
        assert!(results.all(|r| r == first));
        first
    }

    fn whole(ns: impl IntoIterator<Item = u8>) -> Vec<Seen> {
        ns.into_iter().map(|n| Seen::Whole(octets(n))).collect()
    }

    #[test]
    fn pcap_is_read_in_both_byte_orders_and_both_resolutions() {
        for big_endian in [false, true] {
            for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
                let mut file = File::pcap(big_endian, magic, 1);
                for n in 1..4 {
                    file.packet(&octets(n), octets(n).len());
                }
                assert_eq!(read(&file.octets), (whole(1..4), None), "{big_endian} {magic:x}");
            }
        }
    }

    #[test]
    fn pcap_of_the_modified_form_is_read() {
        let mut file = File::pcap(false, 0xa1b2_cd34, 1);
        for n in 1..4 {
            let length = octets(n).len() as u32;
            file.u32(1).u32(2).u32(length).u32(length).u32(9).u32(9).raw(&octets(n));
        }
        assert_eq!(read(&file.octets), (whole(1..4), None));
    }

    #[test]
    fn the_check_sequence_that_a_pcap_states_is_taken_off() {
        let mut file = File::pcap(false, 0xa1b2_c3d4, 1 | 1 << 26 | 2 << 28);
        file.packet(&[octets(1), vec![9; 4]].concat(), 65);
        // Without the flag, the length says nothing.
        assert_eq!(read(&file.octets), (whole(1..2), None));
        let mut file = File::pcap(true, 0xa1b2_c3d4, 1 | 2 << 28);
        file.packet(&octets(1), 61);
        assert_eq!(read(&file.octets), (whole(1..2), None));
    }

    #[test]
    fn frames_cut_by_the_snapshot_length_keep_their_numbers() {
        let mut file = File::pcap(false, 0xa1b2_c3d4, 1);
        file.packet(&octets(1), 61).packet(&octets(2), 1514).packet(&octets(3), 63);
        let expected = vec![Seen::Whole(octets(1)), Seen::Cut(62, 1514), Seen::Whole(octets(3))];
        assert_eq!(read(&file.octets), (expected, None));
    }

    #[test]
    fn pcapng_is_read_whatever_its_sections_and_interfaces() {
        let mut file = File::new(false);
        file.section(false).interface(1, 0, None).interface(101, 0, None);
        file.enhanced(0, &octets(1), 61).enhanced(1, &[0x45; 40], 40);
        // A section of the other byte order, with other interfaces.
        file.section(true).interface(276, 0, None).interface(1, 0, Some(4));
        file.block(5, &[0; 12]);
        file.enhanced(1, &[octets(2), vec![9; 4]].concat(), 66).enhanced(0, &[0; 60], 60);
        // What the packet says of its check sequence goes before what the interface says.
        file.enhanced_with(1, &[octets(3), vec![9; 2]].concat(), 65, Some(2 << 5 | 1));
        let expected = vec![
            Seen::Whole(octets(1)),
            Seen::Other(101),
            Seen::Whole(octets(2)),
            Seen::Other(276),
            Seen::Whole(octets(3)),
        ];
        assert_eq!(read(&file.octets), (expected, None));
    }

    #[test]
    fn simple_and_obsolete_packets_are_read() {
        for big_endian in [false, true] {
            let mut file = File::new(false);
            file.section(big_endian).interface(1, 62, Some(32)).interface(1, 0, None);
            // The first is cut by the snapshot length, within a word.
            file.simple(&octets(4)[..62], 68);
            file.simple(&octets(1)[..61], 61);
            let mut body = File::new(big_endian);
            body.u16(1).u16(7).u32(0).u32(0).u32(62).u32(62).raw(&octets(2));
            file.block(2, &body.octets);
            let expected = vec![
                Seen::Cut(62, 64),
                Seen::Whole(octets(1)[..57].to_vec()),
                Seen::Whole(octets(2)),
            ];
            assert_eq!(read(&file.octets), (expected, None), "{big_endian}");
        }
    }

    #[test]
    fn a_capture_without_ethernet_is_refused_by_name() {
        let file = File::pcap(false, 0xa1b2_c3d4, 113);
        let (seen, error) = read(&file.octets);
        assert!(seen.is_empty());
        let error = error.unwrap();
        assert!(error.contains("link type 113 (LINKTYPE_LINUX_SLL)"), "{error}");
        assert!(error.contains("instead of on `any`"), "{error}");

        let mut file = File::new(false);
        file.section(false).interface(101, 0, None).enhanced(0, &[0x45; 40], 40);
        let (seen, error) = read(&file.octets);
        assert!(seen.is_empty());
        assert!(error.unwrap().contains("link type 101 (LINKTYPE_RAW)"));
    }

    #[test]
    fn a_truncated_capture_gives_the_frames_before_and_says_where_it_ends() {
        let mut pcap = File::pcap(false, 0xa1b2_c3d4, 1);
        pcap.packet(&octets(1), 61).packet(&octets(2), 62);
        let mut pcapng = File::new(true);
        pcapng.section(true).interface(1, 0, None);
        pcapng.enhanced(0, &octets(1), 61).enhanced(0, &octets(2), 62);
        for (file, start, second) in [(&pcap, 24, 24 + 77), (&pcapng, 28 + 20, 28 + 20 + 96)] {
            let octets = &file.octets;
            // Wherever it is cut, nothing is lost that was whole.
            for end in 4..octets.len() {
                let (seen, error) = read(&octets[..end]);
                assert_eq!(seen.len(), usize::from(end >= second), "{end}");
                let clean = [start, second, 28].contains(&end) && (start != 24 || end != 28);
                assert_eq!(error.is_none(), clean, "{end}: {error:?}");
                if let Some(error) = error {
                    assert!(error.contains("f is truncated"), "{error}");
                    if end > second {
                        assert!(error.contains(&format!("at octet {second}")), "{error}");
                        assert!(error.contains(&format!("the file has {}", end - second)));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_capture_is_said_to_be_none() {
        assert_eq!(read(b"").1.unwrap(), "f is empty; a capture has at least a file header");
        for (octets, hint) in [
            (&b"hello, world"[..], "editcap"),
            (&[0x1f, 0x8b, 8, 0], "gunzip"),
            (b"0800 4500", "--hex"),
            (b"x", "neither a pcap nor a pcapng"),
        ] {
            let error = read(octets).1.unwrap();
            assert!(error.contains("is not a capture") && error.contains(hint), "{error}");
        }
    }

    #[test]
    fn damage_is_told_from_truncation_and_costs_no_memory() {
        let damaged = |file: &File, what: &str| {
            let error = read(&file.octets).1.unwrap();
            assert!(error.contains("is damaged") && error.contains(what), "{error}");
        };
        let mut file = File::pcap(false, 0xa1b2_c3d4, 1);
        file.packet(&octets(1), 61).u32(1).u32(1).u32(u32::MAX).u32(60).raw(&octets(2));
        damaged(&file, "frame 2 at octet 101 claims 4294967295 octets");

        let section = |big_endian| {
            let mut file = File::new(big_endian);
            file.section(big_endian).interface(1, 0, None);
            file
        };
        for big_endian in [false, true] {
            let mut file = section(big_endian);
            file.enhanced(3, &octets(1), 61);
            damaged(&file, "is of interface 3, and 1 are described");
            let mut file = section(big_endian);
            file.u32(6).u32(u32::MAX).raw(&octets(1));
            damaged(&file, "the block before frame 1 at octet 48 claims 4294967295 octets");
            let mut file = section(big_endian);
            file.u32(6).u32(0).raw(&octets(1));
            damaged(&file, "claims 0 octets");
            for claimed in [65, 4000, u32::MAX - 5, u32::MAX] {
                let mut file = section(big_endian);
                let mut body = File::new(big_endian);
                body.u32(0).u32(0).u32(0).u32(claimed).u32(64).raw(&[1; 64]);
                file.block(6, &body.octets);
                damaged(&file, "at octet 48");
                let mut file = section(big_endian);
                let mut body = File::new(big_endian);
                body.u16(0).u16(0).u32(0).u32(0).u32(claimed).u32(64).raw(&[1; 60]);
                file.block(2, &body.octets);
                damaged(&file, "more than it holds");
            }
            let mut file = section(big_endian);
            file.u32(6).u32(32).raw(&[0; 20]).u32(36);
            damaged(&file, "lengths that contradict");
        }
        let mut file = section(false);
        file.u32(0x0a0d_0d0a).u32(28).raw(&[0; 20]);
        damaged(&file, "without byte order");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_file_says_it_is_read_to_an_end(
            pcapng: bool,
            big_endian: bool,
            changes in proptest::collection::vec((0_usize..600, proptest::num::u8::ANY), 0..12),
            end in 0_usize..800,
        ) {
            let mut file = if pcapng {
                let mut file = File::new(false);
                file.section(big_endian).interface(1, 70, Some(4)).interface(274, 0, None);
                file.enhanced_with(1, &octets(1), 61, Some(4 << 5)).simple(&octets(2), 62);
                file.section(!big_endian).interface(240, 0, None).enhanced(0, &octets(3), 63);
                file.block(2, &[0; 40]);
                file
            } else {
                let mut file = File::pcap(big_endian, 0xa1b2_c3d4, 1);
                file.packet(&octets(1), 61).packet(&octets(2), 62).packet(&octets(3), 63);
                file
            };
            for (at, octet) in changes {
                let at = at % file.octets.len();
                file.octets[at] = octet;
            }
            file.octets.truncate(end);
            if let Ok(capture) = Capture::new("f", &file.octets[..]) {
                // Each frame takes octets of the file, so that there is an end.
                proptest::prop_assert!(read_all(capture).0.len() < 60);
            }
        }
    }

    #[test]
    fn readiness_means_a_whole_record() {
        let mut file = File::pcap(false, 0xa1b2_c3d4, 1);
        file.packet(&octets(1), 61).packet(&octets(2), 62);
        let cut = &file.octets[..file.octets.len() - 1];
        let mut capture = Capture::new("f", cut).unwrap();
        assert!(capture.is_ready());
        assert!(capture.next_frame().unwrap().is_some());
        assert!(!capture.is_ready());
    }

    #[test]
    fn a_reader_that_fails_is_quoted() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is on fire"))
            }
        }
        let mut file = File::pcap(false, 0xa1b2_c3d4, 1);
        file.packet(&octets(1), 61);
        let capture = Capture::new("f", file.octets.chain(Broken)).unwrap();
        let (seen, error) = read_all(capture);
        assert_eq!(seen, whole(1..2));
        assert_eq!(error.unwrap().to_string(), "f: reading at octet 101: the disk is on fire");
    }

    #[test]
    fn a_directory_and_a_missing_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let error = Capture::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("is a directory"), "{error}");
        let error = Capture::open(&folder.path().join("x")).err().unwrap().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
