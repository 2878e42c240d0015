//! Seeing every thread outside of the bytes that are about to change, and keeping it there.
//!
//! What is slow (reading signal masks, opening files, making room) happens in the census, before
//! any thread is stopped. From then on only system calls are made that neither allocate nor lock:
//! a stopped thread may have the allocator's lock in its hand.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::forks;
use super::member::{Member, State};
use super::parking::{self, SERIALIZE, Table};
use crate::active::arch::{GATE, JUMP_SIZE};
use crate::active::crash;
use crate::active::sys::mask;
use crate::active::sys::raw;
use crate::active::sys::tasks::{self, Tasks};

/// How long a thread that blocks all signals is given to go to sleep.
const PATIENCE_BLOCKED: Duration = Duration::from_millis(500);
/// How long a thread is given to report; on a busy machine it may have to wait for a processor.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long threads stand before the first attempt is given up; the next ones get longer. It is long
/// because a thread that does not react waits for a processor, and would again in the next attempt.
const FIRST_ATTEMPT: Duration = Duration::from_millis(100);
/// How long threads stand at most.
const LONGEST_ATTEMPT: Duration = Duration::from_millis(400);
/// How long threads stand for one that blocks all signals.
const ATTEMPT_BLOCKED: Duration = Duration::from_millis(5);
/// How long a thread that has not reported is left alone before it is looked at again.
const ROUND: Duration = Duration::from_micros(400);
/// How often threads that often sleep are looked at before they are sent the signal.
const LOOKS: u32 = 5;
/// No more files than this are kept open to look at threads.
const FILES: usize = 256;

/// What a switch has cost.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// For how long threads stood, in nanoseconds, all attempts together.
    pub pause: u64,
    /// How many threads were stopped, or seen asleep.
    pub threads: u32,
    /// What was in the way at first, for the developer.
    pub obstacle: Option<String>,
}

/// What is switched.
pub trait Switch {
    /// Makes callers wait.
    fn close(&mut self);
    /// Puts the new functions in place of the old ones, and lets callers through.
    fn commit(&mut self);
    /// Lets callers through to the old functions.
    fn undo(&mut self);
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy)]
enum Obstacle {
    /// This thread blocks all signals and does not sleep.
    Blocks(i32),
    /// This thread did not report in time.
    Slow(i32),
    /// This thread is in the middle of bytes that are to be overwritten.
    Inside(i32),
    /// There are more threads than there is room for.
    Crowded,
}

impl Obstacle {
    fn text(self) -> String {
        match self {
            Obstacle::Blocks(thread) => format!(
                "thread {} blocks all signals, or has a filter on its system calls (seccomp), and \
                 does not pause in a system call",
                tasks::name(thread)
            ),
            Obstacle::Slow(thread) => {
                format!("thread {} did not react in time", tasks::name(thread))
            }
            Obstacle::Inside(thread) => format!(
                "thread {} stays in the first bytes of a function that is to be replaced",
                tasks::name(thread)
            ),
            Obstacle::Crowded => "threads start faster than they can be counted".into(),
        }
    }

    fn patience(self) -> Duration {
        match self {
            Obstacle::Blocks(_) => PATIENCE_BLOCKED,
            _ => PATIENCE,
        }
    }
}

/// What must be done once, early, since it may take a while.
pub fn prepare() {
    SERIALIZE.store(u32::from(!raw::prepare_to_serialize()), Relaxed);
    forks::register();
}

/// Throws away what processors have fetched ahead, where the kernel can do that.
pub fn serialize_all() {
    if SERIALIZE.load(Relaxed) == 0 {
        raw::serialize_all();
    }
}

/// Whether entries may change while all threads run: each changes as a whole, so that nobody is in
/// the middle of one, and the kernel makes all processors fetch them anew.
pub fn needs_no_stop() -> bool {
    GATE.len() == JUMP_SIZE && SERIALIZE.load(Relaxed) == 0
}

/// Carries `switch` out while all threads run.
pub fn carry_out_running(switch: &mut dyn Switch) -> Cost {
    forks::held(|| {
        mask::blocked(|| {
            let begun = raw::now();
            switch.close();
            switch.commit();
            Cost { pause: raw::now().saturating_sub(begun), ..Cost::default() }
        })
    })
}

/// Carries `switch` out once every other thread was seen outside of the bytes that are to be
/// overwritten at `entries`, which are in ascending order; or not at all, where this fails.
///
/// # Errors
/// A text that names the thread in the way.
pub fn carry_out(entries: &[usize], switch: &mut dyn Switch) -> Result<Cost, String> {
    let signal = parking::take_signal()?;
    let tasks = Tasks::open().ok_or("the threads cannot be listed in /proc/self/task")?;
    let begun = Instant::now();
    let mut limit = FIRST_ATTEMPT;
    let mut cost = Cost::default();
    loop {
        let mut attempt = Attempt::census(&tasks, signal, entries);
        let outcome = forks::held(|| mask::blocked(|| attempt.run(&mut cost, limit, switch)));
        let Err(obstacle) = outcome else { return Ok(cost) };
        if begun.elapsed() >= obstacle.patience() {
            return Err(obstacle.text());
        }
        cost.obstacle = Some(obstacle.text());
        limit = limit.saturating_mul(2).min(LONGEST_ATTEMPT);
        std::thread::sleep(Duration::from_millis(2));
    }
}

struct Attempt<'a> {
    tasks: &'a Tasks,
    entries: &'a [usize],
    signal: i32,
    me: i32,
    table: &'static Table,
    /// Has room for all that can come, so that it never grows while threads stand.
    members: Vec<Member>,
    buffer: Vec<u8>,
    /// The number of this attempt.
    number: u32,
    /// When threads have stood for long enough, also for one that blocks all signals.
    deadline: u64,
    deadline_blocked: u64,
}

impl<'a> Attempt<'a> {
    fn census(tasks: &'a Tasks, signal: i32, entries: &'a [usize]) -> Self {
        let me = raw::thread_id();
        let mut buffer = vec![0; 64 * 1024];
        let mut threads = Vec::new();
        tasks.each(&mut buffer, |thread| {
            threads.push(thread);
            true
        });
        let room = 2 * threads.len() + 64;
        let table = Table::with_room_for(room);
        let members = Vec::with_capacity(room);
        let (number, deadline, deadline_blocked) = (0, 0, 0);
        let mut attempt = Attempt {
            tasks,
            entries,
            signal,
            me,
            table,
            members,
            buffer,
            number,
            deadline,
            deadline_blocked,
        };
        for thread in threads {
            attempt.admit(thread);
        }
        for member in &mut attempt.members {
            member.refresh(signal);
        }
        attempt
    }

    /// One attempt, from the first stopped thread to the moment when all go on.
    fn run(
        &mut self,
        cost: &mut Cost,
        limit: Duration,
        switch: &mut dyn Switch,
    ) -> Result<(), Obstacle> {
        // Where it is known now that a thread will be in the way, none is stopped.
        let awake = |m: &&Member| m.state == State::Unseen && m.blocks && m.place().is_none();
        if let Some(member) = self.members.iter().find(awake) {
            return Err(Obstacle::Blocks(member.thread));
        }
        self.let_sleep();
        let after = |limit: Duration| raw::now().saturating_add(limit.as_nanos() as u64);
        self.deadline = after(limit);
        self.deadline_blocked = after(ATTEMPT_BLOCKED);
        self.number = parking::begin();
        let mut outcome = self.gather();
        if outcome.is_ok() {
            switch.close();
            outcome = self.confirm();
            match outcome {
                Ok(()) => switch.commit(),
                Err(_) => switch.undo(),
            }
        }
        cost.pause = cost.pause.saturating_add(parking::end(self.number));
        cost.threads = self.members.iter().filter(|m| m.state != State::Gone).count() as u32;
        outcome
    }

    /// Most threads that run do not run for long: those that were seen asleep before are given a
    /// moment, while nobody stands yet, to spare them the signal.
    fn let_sleep(&mut self) {
        for _ in 0..LOOKS {
            self.look();
            let awake = |m: &Member| m.state == State::Unseen && m.slot.noted().is_some();
            if !self.members.iter().any(awake) {
                break;
            }
            std::thread::sleep(ROUND / 4);
        }
    }

    /// Stops all threads that run, until all others were seen asleep at one time.
    fn gather(&mut self) -> Result<(), Obstacle> {
        loop {
            self.look();
            self.ask();
            self.settle()?;
            if !self.has_changed()? {
                return Ok(());
            }
        }
    }

    /// Once the entries are closed: nobody has woken up and slipped into one of them.
    fn confirm(&mut self) -> Result<(), Obstacle> {
        while self.has_changed()? {
            self.look();
            self.ask();
            self.settle()?;
        }
        Ok(())
    }

    /// True where a thread has woken up, or one was started before all stood.
    fn has_changed(&mut self) -> Result<bool, Obstacle> {
        let known = self.members.len();
        self.find_new()?;
        Ok(self.has_woken() || self.members.len() != known)
    }

    /// Lists the threads again: some may have started since.
    fn find_new(&mut self) -> Result<(), Obstacle> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let tasks = self.tasks;
        let all = tasks.each(&mut buffer, |thread| self.admit(thread));
        self.buffer = buffer;
        if all { Ok(()) } else { Err(Obstacle::Crowded) }
    }

    fn admit(&mut self, thread: i32) -> bool {
        // The runtime's own threads call nothing that is replaced.
        let own = thread == self.me || crash::is_reporter(thread);
        if own || self.members.iter().any(|m| m.thread == thread) {
            return true;
        }
        let Some(slot) = self.table.slot(thread) else { return false };
        if self.members.len() == self.members.capacity() {
            return false;
        }
        let keep = self.members.len() < FILES;
        let file = if keep { tasks::open(thread, "syscall") } else { None };
        // A signal of an earlier attempt may still be on its way.
        let asked = slot.is_outstanding();
        let (state, blocks) = (State::Unseen, false);
        self.members.push(Member { thread, slot, file, state, blocks, asked });
        true
    }

    /// Sees those threads that sleep.
    fn look(&mut self) {
        let unseen = |m: &&mut Member| m.state == State::Unseen && !m.asked;
        for member in self.members.iter_mut().filter(unseen) {
            if member.place().is_some_and(|pc| !is_inside(self.entries, pc)) {
                member.state = State::Asleep;
            }
        }
    }

    /// True where one that slept does not sleep any more.
    fn has_woken(&mut self) -> bool {
        let mut woken = false;
        for member in self.members.iter_mut().filter(|m| m.state == State::Asleep) {
            let reached = member.slot.reported(self.number).is_some();
            if reached || member.place().is_none_or(|pc| is_inside(self.entries, pc)) {
                member.state = State::Unseen;
                woken = true;
            }
        }
        woken
    }

    /// Sends the signal to those threads that were not seen.
    fn ask(&mut self) {
        let number = self.number;
        let silent = |m: &&mut Member| {
            m.state == State::Unseen && !m.blocks && m.slot.reported(number).is_none()
        };
        for member in self.members.iter_mut().filter(silent) {
            member.ask(number, self.signal);
        }
    }

    /// Waits until every thread was seen.
    fn settle(&mut self) -> Result<(), Obstacle> {
        loop {
            let arrived = parking::reports();
            self.read_reports()?;
            let unseen = || self.members.iter().filter(|m| m.state == State::Unseen);
            let Some(first) = unseen().next() else { return Ok(()) };
            let thread = first.thread;
            let now = raw::now();
            if first.blocks && now > self.deadline_blocked {
                return Err(Obstacle::Blocks(thread));
            }
            if now > self.deadline {
                return Err(Obstacle::Slow(thread));
            }
            let waiting = unseen().filter(|m| m.asked).count().max(1) as u32;
            parking::await_reports(arrived.saturating_add(waiting), ROUND);
            self.look_closer();
        }
    }

    fn read_reports(&mut self) -> Result<(), Obstacle> {
        for member in self.members.iter_mut().filter(|m| m.state == State::Unseen && m.asked) {
            if let Some(pc) = member.slot.reported(self.number) {
                if is_inside(self.entries, pc) {
                    return Err(Obstacle::Inside(member.thread));
                }
                member.state = State::Stands;
            }
        }
        Ok(())
    }

    /// Looks what has become of those that were not seen.
    fn look_closer(&mut self) {
        let (number, signal) = (self.number, self.signal);
        for member in self.members.iter_mut().filter(|m| m.state == State::Unseen) {
            if member.slot.reported(number).is_some() {
                continue;
            }
            let place = member.place().filter(|&pc| !is_inside(self.entries, pc));
            let pending = member.refresh(signal);
            if member.state == State::Gone {
                continue;
            }
            // One that sleeps before the signal has reached it will come back through the handler.
            // One that it has reached may sleep in the handler: only its report counts.
            let reached = member.asked && (!pending || member.slot.reported(number).is_some());
            if place.is_some() && !reached {
                member.state = State::Asleep;
            } else if !member.asked && !member.blocks {
                member.ask(number, signal);
            }
        }
    }
}

/// True where `pc` lies behind an entry's first byte and before its last.
fn is_inside(entries: &[usize], pc: usize) -> bool {
    let next = entries.partition_point(|&entry| entry < pc);
    let entry = next.checked_sub(1).and_then(|n| entries.get(n));
    entry.is_some_and(|&entry| pc.wrapping_sub(entry) < JUMP_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_after_the_first_are_inside() {
        let (last, behind) = (JUMP_SIZE - 1, JUMP_SIZE);
        let entries = [0x1000, 0x1010];
        let inside = |pc| is_inside(&entries, pc);
        assert!(!inside(0xfff) && !inside(0x1000) && inside(0x1001) && inside(0x1000 + last));
        assert!(!inside(0x1000 + behind) && !inside(0x1010) && inside(0x1011));
        assert!(!inside(0x1010 + behind));
    }
}
