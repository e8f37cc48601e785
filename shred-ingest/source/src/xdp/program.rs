//! The program the kernel runs on each packet of the interface, written as eBPF instructions.
//!
//! It redirects UDP over IPv4 to one of the chosen destination ports, behind at most [`TAGS_MAX`] VLAN tags and at
//! most one GRE tunnel, to the socket of the packet's queue. Everything else, fragments included, goes on to the
//! kernel's stack as if the program were not there.
//!
//! In words, `r4` being where the next header starts and `r3` where the packet ends:
//!
//! ```text
//! Ethernet, tags     -> type IPv4?                        no: pass
//! IPv4               -> version, length, whole?           no: pass
//!    protocol GRE    -> known flags, IPv4 inside? -> IPv4 no: pass
//!    protocol UDP    -> port one of ours?                 no: pass
//! write the time before the packet, where there is room
//! redirect to the socket of this queue; no socket: pass
//! ```
//!
//! Source: RFC 9669 (instruction set), `linux/bpf.h` (`xdp_md` and the helpers), and the RFCs of
//! [`crate::packet`], which reads the same headers again with all lengths.

/// One instruction: opcode, registers (destination in the low half), offset, immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// Most ports one program looks for; each costs an instruction per packet.
pub const PORTS_MAX: usize = 16;
/// VLAN tags that are looked behind: a customer's inside a provider's.
const TAGS_MAX: usize = 2;

/// `XDP_PASS`: go on to the kernel's stack.
pub(super) const PASS: i32 = 2;

const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const R5: u8 = 5;
const R6: u8 = 6;
const R7: u8 = 7;

/// Offsets into `struct xdp_md`.
const CTX_DATA: i16 = 0;
const CTX_DATA_END: i16 = 4;
const CTX_QUEUE: i16 = 16;

const CTX_DATA_META: i16 = 8;

/// What is written before a packet: [`STAMP_MARK`], then the nanoseconds of `CLOCK_TAI`, both in this machine's byte
/// order. A driver that keeps no room for it leaves what was there.
pub(super) const STAMP_LEN: usize = 16;
/// Says that a stamp follows. Any number that the room does not hold by itself.
pub(super) const STAMP_MARK: u64 = 0x7461_695F_7374_6D70;

const HELPER_REDIRECT_MAP: i32 = 51;
const HELPER_ADJUST_META: i32 = 54;
/// Since Linux 6.1.
const HELPER_TIME_TAI: i32 = 208;
/// The source register of a 64-bit load whose value is a map's file descriptor.
const PSEUDO_MAP_FD: u8 = 1;

const LOAD_8: u8 = 0x71;
const LOAD_16: u8 = 0x69;
const LOAD_32: u8 = 0x61;
const LOAD_CONSTANT_64: u8 = 0x18;
const STORE_64: u8 = 0x7B;
const MOVE: u8 = 0xBF;
const MOVE_CONSTANT: u8 = 0xB7;
const ADD: u8 = 0x0F;
const ADD_CONSTANT: u8 = 0x07;
const AND_CONSTANT: u8 = 0x57;
const SHIFT_LEFT_CONSTANT: u8 = 0x67;
const JUMP: u8 = 0x05;
const JUMP_IF_GREATER: u8 = 0x2D;
const JUMP_IF_EQUAL_CONSTANT: u8 = 0x15;
const JUMP_IF_NOT_EQUAL_CONSTANT: u8 = 0x55;
const JUMP_IF_LESS_CONSTANT: u8 = 0xA5;
const JUMP_IF_ANY_CONSTANT: u8 = 0x45;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

const ETHERNET_LEN: i32 = 14;
const IPV4_LEN: i32 = 20;
const UDP_LEN: i32 = 8;
const TYPE_IPV4: u16 = 0x0800;
const TYPES_VLAN: [u16; 3] = [0x8100, 0x88A8, 0x9100];
const PROTOCOL_UDP: i32 = 17;
const PROTOCOL_GRE: i32 = 47;
/// More-fragments flag and fragment offset.
const FRAGMENT: u16 = 0x3FFF;
/// Routing, reserved bits that must be zero, version: see [`crate::packet`].
const GRE_UNKNOWN: u16 = 0x4C07;
/// Checksum, key, sequence number: a word each.
const GRE_WORDS: [u16; 3] = [0x8000, 0x2000, 0x1000];

/// The program for `ports`. `map_fd` is the map from queue to socket; a packet for a queue without one gets the
/// verdict `without_socket`. `stamped` is whether it writes the time before what it redirects.
pub(super) fn assemble(
    ports: &[u16],
    map_fd: i32,
    without_socket: i32,
    stamped: bool,
) -> Vec<Instruction> {
    let mut a = Assembler::default();
    let (pass, udp, ip, tunnel) = (a.label(), a.label(), a.label(), a.label());
    a.op(MOVE, R6, R1, 0, 0);
    a.op(LOAD_32, R2, R1, CTX_DATA, 0);
    a.op(LOAD_32, R3, R1, CTX_DATA_END, 0);
    a.op(MOVE, R4, R2, 0, 0);
    a.op(ADD_CONSTANT, R4, 0, 0, ETHERNET_LEN);
    a.jump(JUMP_IF_GREATER, R4, R3, 0, pass);
    a.op(LOAD_16, R5, R2, 12, 0);
    for _ in 0..TAGS_MAX {
        let tag = a.label();
        for kind in TYPES_VLAN {
            a.jump(JUMP_IF_EQUAL_CONSTANT, R5, 0, wire(kind), tag);
        }
        a.jump(JUMP, 0, 0, 0, ip);
        a.place(tag);
        a.need(4, pass);
        a.op(LOAD_16, R5, R4, 2, 0);
        a.op(ADD_CONSTANT, R4, 0, 0, 4);
    }
    a.place(ip);
    a.jump(JUMP_IF_NOT_EQUAL_CONSTANT, R5, 0, wire(TYPE_IPV4), pass);
    ipv4(&mut a, pass);
    a.jump(JUMP_IF_EQUAL_CONSTANT, R7, 0, PROTOCOL_UDP, udp);
    a.jump(JUMP_IF_EQUAL_CONSTANT, R7, 0, PROTOCOL_GRE, tunnel);
    a.jump(JUMP, 0, 0, 0, pass);
    a.place(tunnel);
    gre(&mut a, pass);
    ipv4(&mut a, pass);
    a.jump(JUMP_IF_NOT_EQUAL_CONSTANT, R7, 0, PROTOCOL_UDP, pass);
    a.place(udp);
    a.need(UDP_LEN, pass);
    a.op(LOAD_16, R5, R4, 2, 0);
    let redirect = a.label();
    for &port in ports {
        a.jump(JUMP_IF_EQUAL_CONSTANT, R5, 0, wire(port), redirect);
    }
    a.place(pass);
    a.op(MOVE_CONSTANT, R0, 0, 0, PASS);
    a.op(EXIT, 0, 0, 0, 0);
    a.place(redirect);
    if stamped {
        stamp(&mut a);
    }
    a.op(LOAD_32, R2, R6, CTX_QUEUE, 0);
    a.op(LOAD_CONSTANT_64, R1, PSEUDO_MAP_FD, 0, map_fd);
    a.op(0, 0, 0, 0, 0);
    a.op(MOVE_CONSTANT, R3, 0, 0, without_socket);
    a.op(CALL, 0, 0, 0, HELPER_REDIRECT_MAP);
    a.op(EXIT, 0, 0, 0, 0);
    a.finish()
}

/// Steps over an unfragmented IPv4 header at `r4` and leaves its protocol in `r7`.
fn ipv4(a: &mut Assembler, pass: Label) {
    a.need(IPV4_LEN, pass);
    a.op(LOAD_8, R1, R4, 0, 0);
    a.op(MOVE, R5, R1, 0, 0);
    a.op(AND_CONSTANT, R5, 0, 0, 0xF0);
    a.jump(JUMP_IF_NOT_EQUAL_CONSTANT, R5, 0, 0x40, pass);
    a.op(AND_CONSTANT, R1, 0, 0, 0x0F);
    a.op(SHIFT_LEFT_CONSTANT, R1, 0, 0, 2);
    a.jump(JUMP_IF_LESS_CONSTANT, R1, 0, IPV4_LEN, pass);
    a.op(LOAD_16, R5, R4, 6, 0);
    a.jump(JUMP_IF_ANY_CONSTANT, R5, 0, wire(FRAGMENT), pass);
    a.op(LOAD_8, R7, R4, 9, 0);
    a.op(ADD, R4, R1, 0, 0);
}

/// Steps over a GRE header at `r4` that has IPv4 behind it.
fn gre(a: &mut Assembler, pass: Label) {
    a.need(4, pass);
    a.op(LOAD_16, R5, R4, 2, 0);
    a.jump(JUMP_IF_NOT_EQUAL_CONSTANT, R5, 0, wire(TYPE_IPV4), pass);
    a.op(LOAD_16, R5, R4, 0, 0);
    a.jump(JUMP_IF_ANY_CONSTANT, R5, 0, wire(GRE_UNKNOWN), pass);
    a.op(ADD_CONSTANT, R4, 0, 0, 4);
    for word in GRE_WORDS {
        let (there, next) = (a.label(), a.label());
        a.jump(JUMP_IF_ANY_CONSTANT, R5, 0, wire(word), there);
        a.jump(JUMP, 0, 0, 0, next);
        a.place(there);
        a.op(ADD_CONSTANT, R4, 0, 0, 4);
        a.place(next);
    }
}

/// Writes mark and time before the packet whose context is `r6`.
fn stamp(a: &mut Assembler) {
    let without = a.label();
    a.op(MOVE, R1, R6, 0, 0);
    a.op(MOVE_CONSTANT, R2, 0, 0, -(STAMP_LEN as i32));
    a.op(CALL, 0, 0, 0, HELPER_ADJUST_META);
    a.jump(JUMP_IF_NOT_EQUAL_CONSTANT, R0, 0, 0, without);
    a.op(LOAD_32, R7, R6, CTX_DATA_META, 0);
    a.op(LOAD_32, R3, R6, CTX_DATA, 0);
    a.op(MOVE, R2, R7, 0, 0);
    a.op(ADD_CONSTANT, R2, 0, 0, STAMP_LEN as i32);
    a.jump(JUMP_IF_GREATER, R2, R3, 0, without);
    a.op(CALL, 0, 0, 0, HELPER_TIME_TAI);
    a.op(LOAD_CONSTANT_64, R1, 0, 0, STAMP_MARK as u32 as i32);
    a.op(0, 0, 0, 0, (STAMP_MARK >> 32) as i32);
    a.op(STORE_64, R7, R1, 0, 0);
    a.op(STORE_64, R7, R0, 8, 0);
    a.place(without);
}

/// `value` as a 16-bit load from a packet gives it on this machine.
fn wire(value: u16) -> i32 {
    i32::from(value.to_be())
}

/// A place in the program that may be jumped to before it is known.
#[derive(Clone, Copy)]
struct Label(usize);

/// Collects instructions and fills in where jumps lead to. All jumps lead forward.
#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    places: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn op(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        self.code.push(Instruction {
            code,
            registers: to | (from << 4),
            offset,
            immediate,
        });
    }

    fn jump(&mut self, code: u8, left: u8, right: u8, immediate: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.op(code, left, right, 0, immediate);
    }

    /// Jumps to `otherwise` unless the packet has `len` bytes from `r4`.
    fn need(&mut self, len: i32, otherwise: Label) {
        self.op(MOVE, R0, R4, 0, 0);
        self.op(ADD_CONSTANT, R0, 0, 0, len);
        self.jump(JUMP_IF_GREATER, R0, R3, 0, otherwise);
    }

    fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.code.len());
    }

    fn finish(mut self) -> Vec<Instruction> {
        for (at, to) in self.jumps {
            let target = self.places[to.0].expect("every label is placed");
            let distance = target - at - 1;
            self.code[at].offset = i16::try_from(distance).expect("the program is short");
        }
        self.code
    }
}
