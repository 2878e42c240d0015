//! How a function takes its arguments and gives its result, as its code shows it.

use std::collections::HashMap;

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use crate::target::processor::{Convention, Integer};

/// The registers of the first integers among the arguments, in their order.
const INTEGERS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];

/// Registers beside `rax` that a result may be in.
const RESULTS: [Register; 3] = [Register::RDX, Register::XMM0, Register::XMM1];

/// A register that an instruction uses.
struct Use {
    register: Register,
    width: usize,
    reads: bool,
    writes: bool,
}

/// What the code of one function shows.
pub fn of(code: &[u8]) -> Convention {
    let listing = listing(code);
    let mut found = Convention { results: results(&listing), ..Convention::default() };
    let mut open = vec![Path { at: 0, written: 0, stack: Some(0), frame: None }];
    let mut seen: HashMap<usize, u32> = HashMap::new();
    let places: HashMap<usize, usize> =
        listing.iter().enumerate().map(|(n, i)| (i.ip() as usize, n)).collect();
    while let Some(mut path) = open.pop() {
        while let Some(&number) = places.get(&path.at) {
            let known = seen.entry(path.at).or_insert(u32::MAX);
            if *known & path.written == *known {
                break;
            }
            *known &= path.written;
            let instruction = &listing[number];
            path.pass(instruction, &mut found);
            let target = || instruction.near_branch_target() as usize;
            match instruction.flow_control() {
                FlowControl::Next => {}
                FlowControl::ConditionalBranch => {
                    open.push(Path { at: target(), ..path });
                }
                FlowControl::UnconditionalBranch => {
                    path.at = target();
                    continue;
                }
                FlowControl::Call | FlowControl::IndirectCall => path.written = u32::MAX >> 1,
                _ => break,
            }
            path.at += instruction.len();
        }
    }
    found
}

/// One way through the function.
#[derive(Clone, Copy)]
struct Path {
    at: usize,
    /// The argument registers that have other values by now: integers, then floating point.
    written: u32,
    /// How far the stack pointer, and a frame pointer, are from where the return address is.
    stack: Option<i64>,
    frame: Option<i64>,
}

impl Path {
    fn pass(&mut self, instruction: &Instruction, found: &mut Convention) {
        for used in uses(instruction) {
            let Some(bit) = argument(used.register) else { continue };
            if used.reads && self.written & (1 << bit) == 0 {
                match found.integers.get_mut(bit) {
                    Some(integer) => *integer = (*integer).max(Integer::of_width(used.width)),
                    None => found.floats |= 1 << (bit - INTEGERS.len()),
                }
            }
        }
        for used in uses(instruction).iter().filter(|used| used.writes) {
            self.written |= argument(used.register).map_or(0, |bit| 1 << bit);
        }
        let base = match instruction.memory_base() {
            Register::RSP => self.stack,
            Register::RBP => self.frame,
            _ => None,
        };
        let place = base.map(|base| base + instruction.memory_displacement64() as i64);
        found.stack |= place.is_some_and(|place| place > 0);
        self.move_stack(instruction);
    }

    fn move_stack(&mut self, instruction: &Instruction) {
        let by = i64::from(instruction.stack_pointer_increment());
        let target =
            (instruction.op0_kind() == OpKind::Register).then(|| instruction.op0_register());
        match (instruction.mnemonic(), target) {
            (Mnemonic::Mov, Some(Register::RBP)) => {
                self.frame = self.stack.filter(|_| instruction.op1_register() == Register::RSP);
            }
            (Mnemonic::Sub | Mnemonic::Add, Some(Register::RSP)) => {
                let constant = instruction.try_immediate(1).ok().map(|by| by as i64);
                let up = instruction.mnemonic() == Mnemonic::Add;
                let by = constant.map(|by| if up { by } else { -by });
                self.stack = self.stack.zip(by).map(|(stack, by)| stack + by);
            }
            (Mnemonic::Push | Mnemonic::Pop, _) => {
                self.stack = self.stack.map(|stack| stack + by);
                if target == Some(Register::RBP) && by > 0 {
                    self.frame = None;
                }
            }
            (Mnemonic::Call, _) => {}
            (_, Some(Register::RSP)) => self.stack = None,
            _ => {}
        }
    }
}

/// Which of the results' registers have been given a value before the function returns, as far
/// as that is known: the last value, that nothing in the function reads.
fn results(listing: &[Instruction]) -> [Option<bool>; 3] {
    let mut found: Option<[Option<bool>; 3]> = None;
    for (number, _) in
        listing.iter().enumerate().filter(|(_, i)| i.flow_control() == FlowControl::Return)
    {
        let here = results_at(&listing[..number]);
        found = Some(match found {
            None => here,
            Some(before) => {
                std::array::from_fn(|n| before[n].filter(|known| here[n] == Some(*known)))
            }
        });
    }
    found.unwrap_or_default()
}

fn results_at(before: &[Instruction]) -> [Option<bool>; 3] {
    let mut found = [None; 3];
    let mut read = [false; 3];
    let mut made = false;
    for instruction in before.iter().rev() {
        if matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
            // What nothing is done to is the result of that call.
            return if made { found.map(|known| Some(known.unwrap_or(false))) } else { found };
        }
        let uses = uses(instruction);
        made |=
            uses.iter().any(|u| u.writes && matches!(u.register, Register::RAX | Register::XMM0));
        for (n, register) in RESULTS.iter().enumerate() {
            let here = || uses.iter().filter(|used| used.register == *register);
            if here().any(|used| used.writes) && found[n].is_none() {
                found[n] = Some(!read[n]);
            }
            read[n] |= here().any(|used| used.reads);
        }
    }
    found.map(|known| Some(known.unwrap_or(false)))
}

fn listing(code: &[u8]) -> Vec<Instruction> {
    let mut listing = Vec::new();
    let mut at = 0;
    while let Some(instruction) = super::decode(code, at) {
        at += instruction.len();
        listing.push(instruction);
    }
    listing
}

fn uses(instruction: &Instruction) -> Vec<Use> {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let target = (instruction.op0_kind() == OpKind::Register).then(|| instruction.op0_register());
    let one = |used: &iced_x86::UsedRegister| {
        use OpAccess::{CondRead, CondWrite, Read, ReadCondWrite, ReadWrite, Write};
        let access = used.access();
        let register = used.register().full_register();
        // An instruction on scalars leaves the rest of its register as it is and so "reads" it.
        let merges = register.is_vector_register()
            && target.is_some_and(|t| t.full_register() == register)
            && access != Read;
        let lea = (instruction.mnemonic() == Mnemonic::Lea).then_some(target).flatten();
        Use {
            register: vector_or(register),
            width: lea.map_or(used.register().size(), Register::size),
            reads: !merges && matches!(access, Read | CondRead | ReadWrite | ReadCondWrite),
            writes: matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite),
        }
    };
    info.used_registers().iter().map(one).collect()
}

/// The vector register by its oldest name.
fn vector_or(register: Register) -> Register {
    match register.is_vector_register() {
        true => Register::XMM0 + register.number() as u32,
        false => register,
    }
}

/// An argument's register as a number: integers, then floating point.
fn argument(register: Register) -> Option<usize> {
    if register.is_vector_register() {
        return (register.number() < 8).then(|| INTEGERS.len() + register.number());
    }
    INTEGERS.iter().position(|r| *r == register)
}
