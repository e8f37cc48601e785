//! The machine and the build that a figure belongs to.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// CPU flags that change these figures.
const FEATURES: [&str; 8] = [
    "sha_ni",
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "gfni",
    "vaes",
    "constant_tsc",
];

/// Facts of the host, as far as it tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// CPU model.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// CPU features that matter here, those present.
    pub features: Vec<&'static str>,
    /// Of the features that matter, those absent.
    pub absent: Vec<&'static str>,
    /// One-minute load average at the start: what disturbed the run.
    pub load: String,
    /// Commit of the checkout, with `+` when files differ from it.
    pub commit: Option<String>,
    /// The compiler that built this.
    pub rustc: &'static str,
}

impl Host {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or("", |(_, value)| value.trim())
        };
        let flags: Vec<&str> = field("flags").split_whitespace().collect();
        let (features, absent) = FEATURES
            .into_iter()
            .partition(|feature| flags.contains(feature));
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: field("model name").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            features,
            absent,
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
            commit: commit(),
            rustc: env!("BENCH_RUSTC"),
        }
    }

    /// The lines above the table.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("cpu       {}, {} cores", self.cpu, self.cores),
            format!(
                "features  {}; absent: {}",
                self.features.join(" "),
                self.absent.join(" ")
            ),
            format!("kernel    {}, load {} at the start", self.kernel, self.load),
            format!(
                "build     {}, commit {}",
                self.rustc,
                self.commit.as_deref().unwrap_or("unknown")
            ),
        ]
    }

    /// The first line of `--json`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"host": {
            "cpu": self.cpu, "cores": self.cores, "kernel": self.kernel, "features": self.features,
            "load": self.load, "commit": self.commit, "rustc": self.rustc,
        }})
    }
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = git(&["status", "--porcelain"])?;
    Some(if changed.is_empty() {
        commit
    } else {
        format!("{commit}+")
    })
}
