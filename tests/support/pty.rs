//! A terminal to run the program in: a pseudo-terminal, and what a user would see on it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long something may take that happens for sure; long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A program in a terminal of its own.
pub(crate) struct Session {
    child: Child,
    master: File,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    parser: vt100::Parser,
    /// All bytes ever written to the terminal.
    raw: Vec<u8>,
    /// Each screen after a write, and when.
    screens: Vec<(Instant, String)>,
}

impl Session {
    /// Runs `command` (its program, arguments, directory and variables) in a terminal of this
    /// size; `typed` was typed before it started.
    pub(crate) fn start(columns: u16, rows: u16, typed: &str, command: &Command) -> Session {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Without a controlling terminal of its own, the harness must not get this one.
        let path = Path::new(name.to_str().unwrap());
        let flags = rustix::fs::OFlags::NOCTTY.bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags as i32);
        let slave = options.open(path).unwrap();
        set_size(&master, columns, rows);
        let mut master = File::from(master);
        master.write_all(typed.as_bytes()).unwrap();
        let side = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        let mut with_terminal = Command::new("setsid");
        with_terminal
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(side())
            .stdout(side())
            .stderr(side());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => with_terminal.env(name, value),
                None => with_terminal.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            with_terminal.current_dir(dir);
        }
        let child = with_terminal.spawn().expect("setsid of util-linux");
        let seen = Arc::new(Mutex::new(Seen {
            parser: vt100::Parser::new(cells(rows), cells(columns), 0),
            raw: Vec::new(),
            screens: Vec::new(),
        }));
        let session = Session {
            child,
            master,
            seen,
        };
        session.watch();
        session
    }

    /// Takes in what is written until the last writer has gone.
    fn watch(&self) {
        let mut master = self.master.try_clone().unwrap();
        let seen = Arc::clone(&self.seen);
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(len @ 1..) = master.read(&mut buf) {
                let mut seen = seen.lock().unwrap();
                seen.raw.extend_from_slice(&buf[..len]);
                seen.parser.process(&buf[..len]);
                let screen = seen.parser.screen().contents();
                if seen.screens.last().is_none_or(|(_, last)| *last != screen) {
                    seen.screens.push((Instant::now(), screen));
                }
            }
        });
    }

    /// The id of the process, which leads its session.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the window another size, as a user does by its corner.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut seen = self.seen.lock().unwrap();
        seen.parser
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        set_size(&self.master, columns, rows);
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// Each screen that was to be seen, the first first.
    pub(crate) fn screens(&self) -> Vec<(Instant, String)> {
        self.seen.lock().unwrap().screens.clone()
    }

    /// All bytes that were written.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().raw).into_owned()
    }

    /// Waits until the screen is as wanted, and gives it.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait(what, || {
            let screen = self.screen();
            wanted(&screen).then_some(screen)
        })
    }

    /// Waits until the terminal reads single keys, or whole lines with echo.
    #[track_caller]
    pub(crate) fn wait_for_keys(&self, single: bool) {
        let modes = LocalModes::ICANON | LocalModes::ECHO;
        self.wait("the terminal's modes", || {
            let now = tcgetattr(&self.master).unwrap().local_modes & modes;
            (now == if single { LocalModes::empty() } else { modes }).then_some(())
        });
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = done() {
                return value;
            }
            let screen = self.screen();
            assert!(Instant::now() < until, "{what} did not come:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end, and gives how it ended and the last screen.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last is still on its way to the reader.
                std::thread::sleep(Duration::from_millis(100));
                return (status, self.screen());
            }
            let screen = self.screen();
            assert!(Instant::now() < until, "it does not end:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // All in its session, should a test have failed in the middle.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a window has cells")
}

fn set_size(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}
