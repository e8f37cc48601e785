//! `overmind run` as its operator meets it: a process with a configuration, a socket, a page and signals.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use overmind_tests::process::{Running, until};
use serde_json::Value;

const OVERMIND: &str = env!("CARGO_BIN_EXE_overmind-under-test");

/// A folder with a configuration and everything that it names; removed when dropped.
struct Installed {
    folder: PathBuf,
    http: SocketAddr,
}

impl Installed {
    fn new(test: &str, more: &str) -> Self {
        // Not the target folder: a socket's path holds 107 bytes.
        let folder =
            std::env::temp_dir().join(format!("overmind-service-{test}-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .unwrap();
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let installed = Self { folder, http };
        let text = format!(
            "[threads]\nlayout = \"split\"\nidle = \"park\"\n\
             [strategy]\ndev_buy_min_lamports = 0\ndev_buy_max_lamports = 100000000000\n\
             [risk]\nopen_positions_max = 50\nopen_notional_max_lamports = 10000000000\n\
             entries_per_window_max = 1000\nexits_per_window_max = 1000\n\
             [admin]\nsocket = {:?}\nkill_file = {:?}\n\
             [http]\nbind = \"{http}\"\n{more}\n",
            installed.folder.join("admin.sock"),
            installed.folder.join("kill"),
        );
        std::fs::write(installed.config(), text).unwrap();
        installed
    }

    fn config(&self) -> PathBuf {
        self.folder.join("overmind.toml")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(OVERMIND);
        command.args(words).arg("--config").arg(self.config());
        command
            .env("STATE_DIRECTORY", &self.folder)
            .env("RUNTIME_DIRECTORY", &self.folder);
        command.env_remove("NOTIFY_SOCKET");
        command
    }

    fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn status(&self) -> (i32, Value) {
        let output = self.ask(&["status", "--json"]);
        (
            output.status.code().unwrap(),
            serde_json::from_slice(&output.stdout).unwrap_or_default(),
        )
    }

    fn bundles_handed(&self) -> u64 {
        self.status().1["decided"]["bundle_handed"]
            .as_u64()
            .unwrap()
    }

    /// Status line and body of a page.
    fn page(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.http
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn start(installed: &Installed) -> Running {
    let mut command = installed.command(&["run", "--embedded-market"]);
    Running(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

#[test]
fn it_serves_is_killed_resumes_and_ends() {
    let installed = Installed::new("life", "");
    assert_eq!(installed.status().0, 4, "nobody is there yet");
    let service = start(&installed);
    until("it is healthy", || installed.status().0 == 0);
    let (_, status) = installed.status();
    assert_eq!(status["health"]["mode"], "paper", "{status}");
    until("bundles are handed over", || installed.bundles_handed() > 0);
    until("account data agrees", || {
        let (_, status) = installed.status();
        status["truth"]["pump"]["truth_agreed"].as_u64() > Some(0)
            && status["accounts"]["terms_published"] == 1
    });

    let (line, body) = installed.page("/health");
    assert!(line.contains("200"), "{line} {body}");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&health["healthy"], &health["control"]),
        (&Value::Bool(true), &"running".into()),
        "{health}"
    );
    let (line, metrics) = installed.page("/metrics");
    assert!(
        line.contains("200") && metrics.trim_end().ends_with("# EOF"),
        "{line}"
    );
    let transactions = metrics
        .lines()
        .find(|line| line.contains("kind=\"transaction\""))
        .unwrap();
    assert!(
        transactions
            .rsplit_once(' ')
            .unwrap()
            .1
            .parse::<u64>()
            .unwrap()
            > 0,
        "{transactions}"
    );

    assert_eq!(installed.ask(&["kill"]).status.code(), Some(0));
    killed_hands_nothing_over(&installed);
    assert_eq!(installed.ask(&["resume"]).status.code(), Some(0));
    let before = installed.bundles_handed();
    until("bundles are handed over again", || {
        installed.bundles_handed() > before
    });

    let kill_file = installed.folder.join("kill");
    std::fs::write(&kill_file, "").unwrap();
    until("the kill file is seen", || {
        installed.status().1["health"]["control"] == "killed"
    });
    assert_eq!(
        installed.ask(&["resume"]).status.code(),
        Some(3),
        "the file is still there"
    );
    std::fs::remove_file(&kill_file).unwrap();
    assert_eq!(
        installed.status().1["health"]["control"],
        "killed",
        "nobody but the operator lets it go on"
    );
    assert_eq!(installed.ask(&["resume"]).status.code(), Some(0));

    let recorded = installed.folder.join("paper-bundles.bin");
    assert!(
        std::fs::metadata(&recorded).unwrap().len() > 0,
        "paper mode records what it would have sent"
    );
    assert_eq!(service.terminate(), Some(0));
    assert!(!installed.folder.join("admin.sock").exists());
    assert_eq!(installed.status().0, 4);
}

fn killed_hands_nothing_over(installed: &Installed) {
    let (code, status) = installed.status();
    assert_eq!(
        (code, &status["health"]["control"]),
        (1, &"killed".into()),
        "{status}"
    );
    let (line, body) = installed.page("/health");
    assert!(line.contains("503"), "{line} {body}");
    // What had passed the gate before the kill is in the counters by now.
    std::thread::sleep(Duration::from_millis(200));
    let (before, seen) = (
        installed.bundles_handed(),
        installed.status().1["decided"]["trade_decoded"].clone(),
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(installed.bundles_handed(), before);
    assert_ne!(
        installed.status().1["decided"]["trade_decoded"],
        seen,
        "it goes on watching"
    );
}

#[test]
fn live_is_refused() {
    let installed = Installed::new("live", "");
    let output = installed.ask(&["run", "--mode", "live"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("live"), "{said}");
    assert!(
        !installed.folder.join("admin.sock").exists(),
        "it did not even begin"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let installed = Installed::new("key", "[bundle]\ntip_min_lamport = 5000");
    let output = installed.ask(&["run", "--embedded-market"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("tip_min_lamports"), "{said}");
}
