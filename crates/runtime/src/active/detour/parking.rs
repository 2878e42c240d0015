//! Where interrupted threads report and stand: a table that the signal handler and the controller share.
//!
//! The handler may use nothing that can be locked or allocated, and a handler that was delayed may
//! run long after the switch that it was meant for. So all is atomic, nothing is ever freed, and
//! each switch has a number of its own: a thread reports by exchanging "asked in switch N" for
//! "reported in switch N", which fails where N is over.

use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use std::time::Duration;

use crate::active::arch::{Call, Context, is_repeatable, serialize};
use crate::active::stacks::snapshot::{CRASH, LOOK};
use crate::active::sys::{raw, signals};

/// Added to a switch's number in a slot's state once the thread has reported.
const REPORTED: u32 = 1 << 31;

/// The number of the latest switch, odd while it lasts.
static SWITCH: AtomicU32 = AtomicU32::new(0);
/// How many threads have reported in this switch.
static ARRIVED: AtomicU32 = AtomicU32::new(0);
/// When the first thread has reported in this switch, 0 before.
static FIRST: AtomicU64 = AtomicU64::new(0);
/// How many threads must have reported before the controller is woken.
static EXPECTED: AtomicU32 = AtomicU32::new(u32::MAX);
static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());
/// The signal under which [`on_signal`] is installed.
pub static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Installs [`on_signal`], again where the program has taken its signal meanwhile; gives the signal.
///
/// # Errors
/// A text that says why no signal is left for us.
pub fn take_signal() -> Result<i32, String> {
    let signal = signals::install(on_signal, SIGNAL.load(Relaxed))?;
    SIGNAL.store(signal, Relaxed);
    Ok(signal)
}

/// Not 0 where the kernel cannot serialise other processors for us.
pub static SERIALIZE: AtomicU32 = AtomicU32::new(0);

/// One thread's place in the table.
#[derive(Default)]
pub struct Slot {
    thread: AtomicI32,
    state: AtomicU32,
    pc: AtomicUsize,
    /// 0 where no call is noted, odd while one is being written.
    version: AtomicU32,
    call: [AtomicUsize; 4],
}

impl Slot {
    /// Says that the thread is to report in this switch.
    pub fn ask(&self, switch: u32) {
        self.state.store(switch, SeqCst);
    }

    /// True where the thread was asked and has not answered, in this switch or an earlier one.
    pub fn is_outstanding(&self) -> bool {
        let state = self.state.load(SeqCst);
        state != 0 && state & REPORTED == 0
    }

    /// Notes the system call in which the thread was seen asleep.
    pub fn note(&self, call: &Call) {
        let version = self.version.load(Relaxed) | 1;
        self.version.store(version, SeqCst);
        let words = [call.number, call.argument, call.stack, call.pc];
        for (to, from) in self.call.iter().zip(words) {
            to.store(from, SeqCst);
        }
        // Never 0, which means that there is none.
        self.version.store(version.wrapping_add(1).max(2), SeqCst);
    }

    /// The call that was noted last.
    pub fn noted(&self) -> Option<Call> {
        let version = self.version.load(SeqCst);
        let [number, argument, stack, pc] = self.call.each_ref().map(|word| word.load(SeqCst));
        let whole = version & 1 == 0 && version != 0 && self.version.load(SeqCst) == version;
        whole.then_some(Call { number, argument, stack, pc })
    }

    /// Where the thread was interrupted, once it has reported in this switch.
    pub fn reported(&self, switch: u32) -> Option<usize> {
        (self.state.load(SeqCst) == switch | REPORTED).then(|| self.pc.load(SeqCst))
    }
}

/// A hash table from thread ids to slots. Its size is a power of two.
pub struct Table {
    slots: Box<[Slot]>,
}

impl Table {
    /// The table in use, made larger where it would be more than half full with `threads`.
    /// A table that was outgrown stays: a delayed handler may be reading it.
    pub fn with_room_for(threads: usize) -> &'static Table {
        // SAFETY: the pointer is null or comes from `Box::leak` below.
        let current = unsafe { TABLE.load(Acquire).as_ref() };
        if let Some(table) = current {
            let used = table.slots.iter().filter(|s| s.thread.load(Relaxed) != 0).count();
            if table.slots.len() >= 2 * threads + 64 {
                if 2 * (used + threads) > table.slots.len() {
                    table.slots.iter().for_each(|s| s.thread.store(0, SeqCst));
                }
                return table;
            }
        }
        let size = (4 * threads + 128).next_power_of_two();
        let slots = (0..size).map(|_| Slot::default()).collect();
        let table: &'static Table = Box::leak(Box::new(Table { slots }));
        TABLE.store(std::ptr::from_ref(table).cast_mut(), Release);
        table
    }

    fn probe(&self, thread: i32) -> impl Iterator<Item = &Slot> {
        let size = self.slots.len();
        let at = move |n: usize| (thread as usize).wrapping_add(n) & size.wrapping_sub(1);
        (0..size).filter_map(move |n| self.slots.get(at(n)))
    }

    /// The slot of `thread`, taken where it had none; `None` where the table is full.
    pub fn slot(&self, thread: i32) -> Option<&Slot> {
        let slot = self.probe(thread).find(|slot| {
            let owner = slot.thread.load(Relaxed);
            owner == thread || owner == 0
        })?;
        if slot.thread.load(Relaxed) == 0 {
            slot.state.store(0, SeqCst);
            slot.version.store(0, SeqCst);
            slot.thread.store(thread, SeqCst);
        }
        Some(slot)
    }

    fn find(&self, thread: i32) -> Option<&Slot> {
        let owner = |slot: &&Slot| slot.thread.load(Acquire);
        self.probe(thread).take_while(|slot| owner(slot) != 0).find(|slot| owner(slot) == thread)
    }
}

/// Begins a switch; its number.
pub fn begin() -> u32 {
    ARRIVED.store(0, SeqCst);
    EXPECTED.store(u32::MAX, SeqCst);
    FIRST.store(0, SeqCst);
    // The number stays below the bit that says "reported".
    let switch = (SWITCH.load(SeqCst).wrapping_add(1) & !REPORTED) | 1;
    SWITCH.store(switch, SeqCst);
    switch
}

/// Ends a switch: all threads go on. For how long the first of them has stood, in nanoseconds.
pub fn end(switch: u32) -> u64 {
    let first = FIRST.load(SeqCst);
    // Now, since the threads that are woken may take the processor away.
    let pause = if first == 0 { 0 } else { raw::now().saturating_sub(first) };
    SWITCH.store(switch.wrapping_add(1) & !REPORTED, SeqCst);
    raw::wake(&SWITCH);
    pause
}

/// Sleeps until `expected` reports have come in this switch, a little while at most.
pub fn await_reports(expected: u32, limit: Duration) {
    EXPECTED.store(expected, SeqCst);
    let arrived = ARRIVED.load(SeqCst);
    if arrived < expected {
        raw::wait(&ARRIVED, arrived, Some(limit));
    }
}

/// How many reports have come in this switch.
pub fn reports() -> u32 {
    ARRIVED.load(SeqCst)
}

/// Makes the thread that it runs on report, and stand until the switch is over.
pub extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over the thread's context, which is this handler's until it returns;
    // the table is never freed.
    let (context, table) =
        unsafe { (context.cast::<Context>().as_mut(), TABLE.load(Acquire).as_ref()) };
    let Some(context) = context else { return };
    let thread = raw::thread_id();
    LOOK.take(thread, context);
    CRASH.take(thread, context);
    let slot = table.and_then(|table| table.find(thread));
    if let Some(slot) = slot {
        report(context, slot);
    }
    hide_interruption(context, slot);
}

fn report(context: &Context, slot: &Slot) {
    loop {
        let asked = slot.state.load(SeqCst);
        let switch = SWITCH.load(SeqCst);
        let lasts = switch & 1 == 1;
        if lasts {
            slot.pc.store(context.pc(), SeqCst);
            if slot.state.compare_exchange(switch, switch | REPORTED, SeqCst, SeqCst).is_ok() {
                let _ = FIRST.compare_exchange(0, raw::now(), SeqCst, SeqCst);
                if ARRIVED.fetch_add(1, SeqCst).wrapping_add(1) >= EXPECTED.load(SeqCst) {
                    raw::wake(&ARRIVED);
                }
                return stand(switch);
            }
        }
        if SWITCH.load(SeqCst) == switch {
            // Too late for the switch in which it was asked, but no longer outstanding.
            if asked & REPORTED == 0 {
                let _ = slot.state.compare_exchange(asked, 0, SeqCst, SeqCst);
            }
            return;
        }
    }
}

fn stand(switch: u32) {
    while SWITCH.load(SeqCst) == switch {
        raw::wait(&SWITCH, switch, None);
    }
    if SERIALIZE.load(Relaxed) != 0 {
        serialize();
    }
}

/// Where this handler made a system call say `EINTR`, lets the thread make the call again.
///
/// Threads that sleep are not interrupted at all, and the kernel repeats most calls by itself
/// (`SA_RESTART`). What is left is a thread that ran when it was looked at and has gone to sleep
/// since, in a call that is never repeated, such as `epoll_wait`. The context does not have all of
/// the call (on x86-64 not its number, on AArch64 not its first argument): the rest is known from
/// the instructions before it, or from what the thread was seen in before. A signal of the program that waits will interrupt the call with every right, so the call
/// is not repeated then.
fn hide_interruption(context: &mut Context, slot: Option<&Slot>) {
    if !context.was_interrupted() {
        return;
    }
    let noted = || slot.and_then(Slot::noted).filter(|call| context.is_in(call));
    let number = context.call_number().or_else(|| noted().map(|call| call.number));
    let Some(number) = number.filter(|&n| is_repeatable(n)) else { return };
    if !signals::another_waits(context.mask(), SIGNAL.load(Relaxed)) {
        context.repeat(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// The tests share the process's signals and threads.
    static ALONE: Mutex<()> = Mutex::new(());

    extern "C" fn on_usr1(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

    /// Runs `during` with the id of a thread that waits in `epoll_wait`, for something that comes
    /// after it; what the call has returned, and its error.
    fn wait_while(during: impl FnOnce(i32)) -> (i32, Option<i32>) {
        take_signal().unwrap();
        // SAFETY: the descriptors are this test's own, and the event has room.
        let (poll, event) = unsafe {
            let (poll, event) = (libc::epoll_create1(0), libc::eventfd(0, 0));
            let mut wanted = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            assert_eq!(libc::epoll_ctl(poll, libc::EPOLL_CTL_ADD, event, &mut wanted), 0);
            (poll, event)
        };
        let thread = AtomicI32::new(0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                thread.store(raw::thread_id(), SeqCst);
                let mut found = libc::epoll_event { events: 0, u64: 0 };
                // SAFETY: there is room for the one event.
                let result = unsafe { libc::epoll_wait(poll, &mut found, 1, -1) };
                (result, std::io::Error::last_os_error().raw_os_error())
            });
            while thread.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(20));
            during(thread.load(SeqCst));
            let one = 1u64.to_ne_bytes();
            // SAFETY: the kernel reads the eight bytes.
            unsafe { libc::write(event, one.as_ptr().cast(), one.len()) };
            waiter.join().unwrap()
        })
    }

    #[test]
    fn a_call_that_our_signal_ends_is_made_again() {
        let _alone = ALONE.lock().unwrap();
        let (result, _) = wait_while(|thread| {
            for _ in 0..100 {
                assert!(raw::signal_thread(thread, SIGNAL.load(SeqCst)));
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        assert_eq!(result, 1);
    }

    #[test]
    fn a_call_that_the_programs_signal_ends_says_so_even_if_ours_came_first() {
        let _alone = ALONE.lock().unwrap();
        assert_eq!(signals::install_at(libc::SIGUSR1, on_usr1), Ok(()));
        let mut reported = None;
        let (result, error) = wait_while(|thread| {
            let slot = Table::with_room_for(8).slot(thread).unwrap();
            let switch = begin();
            slot.ask(switch);
            raw::signal_thread(thread, SIGNAL.load(SeqCst));
            while slot.reported(switch).is_none() {
                std::thread::yield_now();
            }
            reported = slot.reported(switch);
            raw::signal_thread(thread, libc::SIGUSR1);
            std::thread::sleep(Duration::from_millis(5));
            assert!(end(switch) > 0);
            std::thread::sleep(Duration::from_millis(20));
        });
        assert_eq!((result, error), (-1, Some(libc::EINTR)));
        assert!(reported.is_some_and(|pc| pc != 0));
    }
}
