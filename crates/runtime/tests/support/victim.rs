//! The program that takes patches: its functions, its threads, and its answers on a pipe.

use std::hint::black_box;
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The environment variable with the threads to start; without it this is no program.
pub const THREADS: &str = "VICTIM_THREADS";
/// What our lines begin with, among those of the test harness.
pub const MARK: &str = "victim: ";

static STOP: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BACKWARDS: AtomicU64 = AtomicU64::new(0);
static INTERRUPTED: AtomicU64 = AtomicU64::new(0);
static SLEPT: AtomicU64 = AtomicU64::new(0);
static COUNTER: AtomicU64 = AtomicU64::new(0);
static AFTER: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
pub extern "C" fn left() -> u64 {
    black_box(0)
}

#[inline(never)]
pub extern "C" fn right() -> u64 {
    // Not the same code as that of `left`: the two would become one.
    black_box(1) - 1
}

/// One of many functions that are called in turn. It needs some room on the stack, so that its
/// first instruction is longer than one byte.
#[inline(never)]
pub extern "C" fn one_of_many<const N: u64>() -> u64 {
    black_box([N, N, N, N])[3]
}

/// The same without: its first instruction is a push.
#[inline(never)]
pub extern "C" fn another_of_many<const N: u64>() -> u64 {
    black_box(N)
}

type Function = extern "C" fn() -> u64;

/// All of the many: first those that begin with a long instruction.
pub static MANY: [Function; 128] = many();

const fn many() -> [Function; 128] {
    macro_rules! table {
        ($($n:literal)*) => {[
            $(one_of_many::<{ $n }>, one_of_many::<{ $n + 1 }>, one_of_many::<{ $n + 2 }>,
            one_of_many::<{ $n + 3 }>,)*
            $(another_of_many::<{ $n }>, another_of_many::<{ $n + 1 }>,
            another_of_many::<{ $n + 2 }>, another_of_many::<{ $n + 3 }>,)*
        ]};
    }
    table!(0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60)
}

/// The program, where this process is one.
pub fn main() {
    let Ok(threads) = std::env::var(THREADS) else { return };
    let threads: Vec<JoinHandle<()>> =
        threads.split(',').filter(|name| !name.is_empty()).filter_map(start).collect();
    hotpatch_runtime::after(|_| {
        AFTER.fetch_add(1, Ordering::SeqCst);
    });
    hotpatch_runtime::start();
    hotpatch_runtime::start();
    let many = MANY.map(|function| (function as usize).to_string()).join(",");
    println!(
        "{MARK}left={} right={} counter={} many={many}",
        left as *const () as usize, right as *const () as usize, &raw const COUNTER as usize,
    );
    for line in std::io::stdin().lock().lines() {
        println!("{MARK}{}", answer(&line.unwrap()));
    }
    STOP.store(true, Ordering::SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn answer(question: &str) -> String {
    match question {
        "many" => MANY.iter().map(|function| function()).max().unwrap_or(0).to_string(),
        "left" => black_box(left as extern "C" fn() -> u64)().to_string(),
        "right" => black_box(right as extern "C" fn() -> u64)().to_string(),
        "counter" => COUNTER.load(Ordering::SeqCst).to_string(),
        "calls" => CALLS.load(Ordering::SeqCst).to_string(),
        "backwards" => BACKWARDS.load(Ordering::SeqCst).to_string(),
        "interrupted" => INTERRUPTED.load(Ordering::SeqCst).to_string(),
        "slept" => SLEPT.load(Ordering::SeqCst).to_string(),
        "after" => AFTER.load(Ordering::SeqCst).to_string(),
        "threads" => names().join(","),
        "safepoint" => {
            hotpatch_runtime::safepoint();
            "done".into()
        }
        "fork" => fork(),
        "stop" => {
            STOP.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(100));
            "stopped".into()
        }
        other => panic!("{other}"),
    }
}

fn names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut names: Vec<String> = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_string())
        .collect();
    names.sort();
    names
}

/// What a child of `fork` sees: how many threads it has of ours after it has called `start` again.
fn fork() -> String {
    let mut pipe = [0; 2];
    // SAFETY: the child only starts nothing, reads /proc and ends without unwinding.
    unsafe {
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        if libc::fork() == 0 {
            hotpatch_runtime::start();
            hotpatch_runtime::safepoint();
            thread::sleep(Duration::from_millis(50));
            let ours = names().iter().filter(|name| name.contains("hotpatch")).count();
            let text = format!("{ours} {}", left());
            libc::write(pipe[1], text.as_ptr().cast(), text.len());
            libc::_exit(0);
        }
        libc::close(pipe[1]);
        let mut text = [0u8; 64];
        let length = libc::read(pipe[0], text.as_mut_ptr().cast(), text.len());
        libc::close(pipe[0]);
        libc::wait(std::ptr::null_mut());
        String::from_utf8_lossy(&text[..length as usize]).into_owned()
    }
}

fn start(name: &str) -> Option<JoinHandle<()>> {
    let body: fn() = match name {
        "call" => call,
        "call-many" => call_many,
        "spin" => spin,
        "sleep" => sleep,
        "epoll" => epoll,
        "epoll-short" => epoll_short,
        "poll" => poll,
        "nanosleep" => nanosleep,
        "select" => select,
        "receive" => receive,
        "read" => read,
        "futex" => futex,
        "fork-often" => fork_often,
        "deaf-asleep" => deaf_asleep,
        "deaf-spinning" => deaf_spinning,
        "veto" => {
            hotpatch_runtime::before(|patch| Err(format!("not patch {}", patch.id)));
            return None;
        }
        "panic" => {
            hotpatch_runtime::before(|_| panic!("in the hook"));
            return None;
        }
        "sealed-code" => {
            seal_code();
            return None;
        }
        "safepoints" => {
            hotpatch_runtime::use_safepoints();
            return None;
        }
        other => panic!("{other}"),
    };
    Some(thread::Builder::new().name(name.into()).spawn(body).unwrap())
}

fn running() -> bool {
    !STOP.load(Ordering::Relaxed)
}

/// Calls both functions in turn: what they return must never go back.
fn call() {
    let (left, right) =
        (black_box(left as extern "C" fn() -> u64), black_box(right as extern "C" fn() -> u64));
    let mut calls = 0u64;
    while running() {
        let seen = [left(), right(), left(), right()];
        calls += 4;
        if !seen.is_sorted() {
            BACKWARDS.fetch_add(1, Ordering::SeqCst);
        }
        if calls % 4096 == 0 {
            CALLS.fetch_add(4096, Ordering::Relaxed);
        }
    }
}

/// Calls each of the many.
fn call_many() {
    while running() {
        for function in &MANY {
            black_box(function());
        }
    }
}

fn spin() {
    while running() {
        std::hint::spin_loop();
    }
}

fn sleep() {
    thread::sleep(Duration::from_secs(3600));
}

/// Notes what a system call has returned.
fn note(result: i64) {
    if result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {
        interrupted();
    }
    SLEPT.fetch_add(1, Ordering::SeqCst);
}

/// A system call of this thread was interrupted.
fn interrupted() {
    eprintln!("interrupted: {:?}", thread::current().name());
    INTERRUPTED.fetch_add(1, Ordering::SeqCst);
}

fn epoll_for(timeout: i32) {
    // SAFETY: the kernel writes at most the one event that there is room for.
    unsafe {
        let poll = libc::epoll_create1(0);
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        while running() {
            note(libc::epoll_wait(poll, &mut event, 1, timeout).into());
        }
    }
}

fn epoll() {
    epoll_for(-1);
}

fn epoll_short() {
    epoll_for(3);
}

fn poll() {
    while running() {
        // SAFETY: the list is empty.
        note(unsafe { libc::poll(std::ptr::null_mut(), 0, 20) }.into());
    }
}

fn nanosleep() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 7_000_000 };
    while running() {
        // SAFETY: the time outlives the call.
        note(unsafe { libc::nanosleep(&time, std::ptr::null_mut()) }.into());
    }
}

fn select() {
    while running() {
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 11_000 };
        let none = std::ptr::null_mut;
        // SAFETY: the sets are empty, and the time outlives the call.
        note(unsafe { libc::select(0, none(), none(), none(), &mut time) }.into());
    }
}

/// Waits on a socket that has a time limit, which no kernel repeats.
fn receive() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(13))).unwrap();
    while running() {
        if socket.recv(&mut [0]).unwrap_err().kind() == std::io::ErrorKind::Interrupted {
            interrupted();
        }
        SLEPT.fetch_add(1, Ordering::SeqCst);
    }
}

/// Reads what another thread writes now and then.
fn read() {
    let mut pipe = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let [from, to] = pipe;
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(5));
            // SAFETY: the kernel reads the one byte.
            unsafe { libc::write(to, [0u8].as_ptr().cast(), 1) };
        }
    });
    while running() {
        // SAFETY: there is room for the one byte.
        note(unsafe { libc::read(from, [0u8].as_mut_ptr().cast(), 1) } as i64);
    }
}

/// Waits for a word that never changes, with a time limit.
fn futex() {
    let word = 0u32;
    let time = libc::timespec { tv_sec: 0, tv_nsec: 9_000_000 };
    while running() {
        // SAFETY: the word and the time outlive the call.
        let result =
            unsafe { libc::syscall(libc::SYS_futex, &word, libc::FUTEX_WAIT, 0, &time, 0, 0) };
        note(result);
    }
}

/// Makes children that call all of the many functions; counts those that do not come back.
fn fork_often() {
    while running() {
        // SAFETY: the child calls functions that neither allocate nor lock, and ends.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                for function in &MANY {
                    black_box(function());
                }
                libc::_exit(0);
            }
            let late = std::time::Instant::now() + Duration::from_secs(20);
            while libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) == 0 {
                if std::time::Instant::now() > late {
                    INTERRUPTED.fetch_add(1, Ordering::SeqCst);
                    libc::kill(child, libc::SIGKILL);
                }
                thread::sleep(Duration::from_micros(200));
            }
        }
        SLEPT.fetch_add(1, Ordering::SeqCst);
    }
}

fn block_signals() {
    // SAFETY: the set is written before it is used.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
    }
}

/// From now on the kernel makes no memory writable that can be executed.
fn seal_code() {
    let (write, execute) = (libc::PROT_WRITE as u32, libc::PROT_EXEC as u32);
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless_equal = |k: u32, skip: u8| libc::sock_filter {
        jf: skip,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut filter = [
        // The system call's number, and the low half of its third argument.
        statement(load, 0),
        unless_equal(libc::SYS_mprotect as u32, 4),
        statement(load, 32),
        statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, write | execute),
        unless_equal(write | execute, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EACCES as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the filter outlives the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &program), 0);
    }
}

fn deaf_asleep() {
    block_signals();
    sleep();
}

fn deaf_spinning() {
    block_signals();
    spin();
}
