//! Requests without a rest, while the program is patched.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::users::{Kind, visitor};

/// Connections that stay open from the first patch to the last.
pub const STAY: usize = 4;
/// How long a visitor rests after an answer.
const REST: Duration = Duration::from_millis(3);
/// The end of it, whatever else happens.
const AT_MOST: Duration = Duration::from_secs(1800);
/// How many failures are kept for the report.
const TOLD: usize = 5;

/// The visitors.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
    told: Mutex<Vec<String>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Requests {
    /// How many were answered rightly.
    pub answered: u64,
    /// How many were not.
    pub failed: u64,
    /// The first failures.
    pub told: Vec<String>,
}

impl Load {
    /// Four visitors who keep their connections, and one who comes anew for each request.
    pub fn start(kind: Kind, port: u16) -> Load {
        let shared = Arc::new(Shared::default());
        let until = Instant::now() + AT_MOST;
        let thread = |stays: bool| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.visit(kind, port, stays, until))
        };
        let mut threads: Vec<_> = (0..STAY).map(|_| thread(true)).collect();
        threads.push(thread(false));
        Load { shared, threads }
    }

    /// Waits for the last answers.
    pub fn end(self) -> Requests {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
        let shared = self.shared;
        Requests {
            answered: shared.requests.load(Ordering::Relaxed),
            failed: shared.failures.load(Ordering::Relaxed),
            told: shared.told.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Shared {
    fn visit(&self, kind: Kind, port: u16, stays: bool, until: Instant) {
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) && Instant::now() < until {
            let visit = match connection.take() {
                Some(visitor) => Ok(visitor),
                None => visitor(kind, port),
            };
            let visit = visit.and_then(|mut visitor| visitor.visit().map(|()| visitor));
            match visit {
                Ok(visitor) => {
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    connection = Some(visitor).filter(|_| stays);
                }
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                    if told.len() < TOLD {
                        told.push(format!("{error:#}"));
                    }
                }
            }
            std::thread::sleep(REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that echoes so many lines on each connection, and then closes it.
    fn echoing(lines: usize) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let answer = move |mut socket: TcpStream| {
            let reader = BufReader::new(socket.try_clone().expect("a second handle"));
            for line in reader.lines().take(lines).map_while(Result::ok) {
                if writeln!(socket, "{line}").is_err() {
                    return;
                }
            }
        };
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                std::thread::spawn(move || answer(socket));
            }
        });
        port
    }

    fn after(requests: u64, port: u16) -> Requests {
        let load = Load::start(Kind::Tunnel, port);
        let count = || {
            let [answered, failed] = [&load.shared.requests, &load.shared.failures];
            answered.load(Ordering::Relaxed) + failed.load(Ordering::Relaxed)
        };
        let until = Instant::now() + AT_MOST;
        while count() < requests && Instant::now() < until {
            std::thread::sleep(REST);
        }
        load.end()
    }

    #[test]
    fn a_server_that_answers_fails_no_request() {
        let requests = after(200, echoing(usize::MAX));
        assert!(requests.answered >= 200 && requests.failed == 0, "{requests:?}");
    }

    #[test]
    fn a_connection_that_does_not_stay_open_is_a_failure() {
        let requests = after(200, echoing(10));
        assert!(requests.failed > 0 && !requests.told.is_empty(), "{requests:?}");
    }
}
