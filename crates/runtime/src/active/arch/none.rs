//! A processor without detours yet: functions are reached through `call`.

/// `e_machine` of this processor's ELF files; 0 is none, so every patch is refused.
pub const ELF_MACHINE: u16 = 0;
