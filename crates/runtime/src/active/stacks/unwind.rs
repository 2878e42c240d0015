//! From a thread's registers and stack to its frames.

use gimli::{CfaRule, EhFrame, Register, RegisterRule, UnwindContext, UnwindSection};

use super::modules::Modules;
use super::snapshot::{ROOM, Snapshot};
use crate::active::arch::{self, Registers, STACK_POINTER, return_address};

/// What unwinding needs beside the stack. Made early, so that it never allocates later.
pub struct Unwinder(UnwindContext<usize>);

/// What called a frame: nobody, where it was the outermost one.
type Caller = Option<Registers>;

impl Unwinder {
    /// A new one.
    pub fn new() -> Unwinder {
        Unwinder(UnwindContext::new())
    }

    /// Calls `each` with the place of every frame, the innermost one first, until it says false:
    /// an address within the instruction that runs or calls. True where all frames were seen.
    pub fn walk(
        &mut self,
        modules: &Modules,
        snapshot: &Snapshot<'_>,
        mut each: impl FnMut(usize) -> bool,
    ) -> bool {
        let mut registers = snapshot.registers;
        let mut innermost = true;
        // Every frame but the innermost one has its own words on the stack.
        for _ in 0..ROOM {
            let place = if innermost { registers.pc } else { registers.pc.wrapping_sub(1) };
            if !each(place) {
                return true;
            }
            match self.caller(modules, snapshot, &registers, place) {
                Some(Some(next)) => registers = next,
                Some(None) => return true,
                None => return false,
            }
            innermost = false;
        }
        false
    }

    /// A thread that was sent to where no code is, by a call through a pointer: the same as it
    /// was at the call. `None` where there is code, or nothing that looks like that call.
    pub fn at_the_call(&mut self, modules: &Modules, snapshot: &Snapshot<'_>) -> Option<Registers> {
        let mut registers = snapshot.registers;
        if self.has_code(modules, registers.pc) {
            return None;
        }
        let back = arch::undo_call(&mut registers, |at| snapshot.word(at))?;
        // The call is in front of where it returns to, and may be its function's last instruction.
        registers.pc = back.checked_sub(1)?;
        self.has_code(modules, registers.pc).then_some(registers)
    }

    fn has_code(&mut self, modules: &Modules, place: usize) -> bool {
        let cie = EhFrame::cie_from_offset;
        modules.frames(place).is_some_and(|found| {
            let entry = found
                .table
                .table()
                .map(|table| table.fde_for_address(&found.frames, &found.bases, place as u64, cie));
            entry.is_some_and(|entry| entry.is_ok_and(|entry| entry.contains(place as u64)))
        })
    }

    /// The registers of the frame that called this one; `None` where it cannot be found.
    fn caller(
        &mut self,
        modules: &Modules,
        snapshot: &Snapshot<'_>,
        registers: &Registers,
        place: usize,
    ) -> Option<Caller> {
        let found = modules.frames(place)?;
        let (frames, bases) = (&found.frames, &found.bases);
        let table = found.table.table()?;
        let cie = EhFrame::cie_from_offset;
        let entry = table.fde_for_address(frames, bases, place as u64, cie).ok()?;
        let row = entry.unwind_info_for_address(frames, bases, &mut self.0, place as u64).ok()?;
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
        let cfa = registers.value(register.0)?.wrapping_add_signed(*offset as isize);
        if cfa < registers.value(STACK_POINTER)? {
            return None;
        }
        let from = |rule: &RegisterRule<usize>| match rule {
            RegisterRule::SameValue => None,
            RegisterRule::Offset(n) => Some(snapshot.word(cfa.wrapping_add_signed(*n as isize))),
            RegisterRule::ValOffset(n) => Some(Some(cfa.wrapping_add_signed(*n as isize))),
            RegisterRule::Register(other) => Some(registers.value(other.0)),
            _ => Some(None),
        };
        let link = entry.cie().return_address_register();
        let pc = match row.register(link) {
            // Where it is still in its register, or nowhere: that is how the outermost frame says so.
            RegisterRule::Undefined => registers.value(link.0),
            rule => Some(from(&rule).unwrap_or_else(|| registers.value(link.0))?),
        };
        let Some(pc) = pc.map(return_address).filter(|&pc| pc != 0) else { return Some(None) };
        let mut next = Registers { pc, ..*registers };
        for (Register(number), rule) in row.registers() {
            if let Some(value) = from(rule) {
                next.set(*number, value);
            }
        }
        next.set(link.0, None);
        next.set(STACK_POINTER, Some(cfa));
        Some(Some(next))
    }
}
