//! Running the cases of a folder: several at a time, each on a thread of its own, so that one that hangs or panics fails
//! alone.

use std::{
    any::Any,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;

use super::{Judge, case::Case, judge_of, not_built};

/// How long one case may take; the longest waits of the format are a few seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// How many cases run at a time. Most of those that take long wait for a clock, so more than there are processors.
const AT_A_TIME: usize = 8;

/// What became of the cases.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    /// In the order of files and cases.
    pub(crate) failures: Vec<Failure>,
}

/// A case that failed, or a file that cannot be read.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) file: String,
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// A case to run, or why it cannot be.
struct Job {
    file: String,
    id: String,
    case: Result<(Judge, Arc<Case>), String>,
}

/// Runs the wanted cases of all `.json` files of a folder.
///
/// A file of an unknown name and a case of an unknown shape count as failed.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn run(folder: &Path, wanted: impl Fn(&str, &Case) -> bool) -> io::Result<Report> {
    run_with(folder, wanted, judge_of)
}

/// Runs the cases about pushing and pulling with a real gRPC connection in every place where there is one in service; as
/// [`run`] otherwise.
#[cfg(feature = "grpc")]
pub(crate) fn run_over_grpc(folder: &Path) -> io::Result<Report> {
    const FILE: &str = "push_pull.json";
    let judges = |file: &str| match file {
        FILE => Some(super::push_pull::judge_over_grpc as Judge),
        _ => judge_of(file),
    };
    run_with(folder, |file, _| file == FILE, judges)
}

fn run_with(
    folder: &Path,
    wanted: impl Fn(&str, &Case) -> bool,
    judges: fn(&str) -> Option<Judge>,
) -> io::Result<Report> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    let mut jobs: Vec<Job> = files
        .iter()
        .flat_map(|path| read_file(path, judges))
        .collect();
    jobs.retain(|job| match &job.case {
        Ok((_, case)) => wanted(&job.file, case),
        Err(_) => true,
    });
    Ok(run_all(jobs, LIMIT))
}

fn read_file(path: &Path, judges: fn(&str) -> Option<Judge>) -> Vec<Job> {
    let file = path.file_name().unwrap_or_default();
    let file = file.to_string_lossy().into_owned();
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let cases = text.and_then(|text| {
        serde_json::from_str::<Vec<Value>>(&text).map_err(|error| error.to_string())
    });
    match cases {
        Ok(cases) => cases
            .into_iter()
            .map(|case| read_case(&file, case, judges))
            .collect(),
        Err(reason) => vec![Job {
            id: file.clone(),
            file,
            case: Err(reason),
        }],
    }
}

fn read_case(file: &str, json: Value, judges: fn(&str) -> Option<Judge>) -> Job {
    let named = json["id"].as_str().unwrap_or("(no id)").to_owned();
    let case = serde_json::from_value::<Case>(json).map_err(|error| error.to_string());
    let judge = judges(file).ok_or_else(|| "no vector file has this name".to_owned());
    Job {
        file: file.to_owned(),
        id: case.as_ref().map_or(named, |case| case.id.clone()),
        case: judge.and_then(|judge| Ok((judge, Arc::new(case?)))),
    }
}

fn run_all(jobs: Vec<Job>, limit: Duration) -> Report {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::with_capacity(jobs.len()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let verdict = run_one(job, limit);
                    verdicts.lock().push((index, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner();
    verdicts.sort_by_key(|(index, _)| *index);
    let mut report = Report::default();
    for (job, (_, verdict)) in jobs.into_iter().zip(verdicts) {
        match verdict {
            Ok(()) => report.passed += 1,
            Err(reason) => report.failures.push(Failure {
                file: job.file,
                id: job.id,
                reason,
            }),
        }
    }
    report
}

fn run_one(job: &Job, limit: Duration) -> Result<(), String> {
    let (judge, case) = job.case.clone()?;
    if let Some(reason) = not_built(&job.file, &case) {
        return Err(format!("not built yet: {reason}"));
    }
    let (sender, verdict) = mpsc::channel();
    let about = case.about.clone();
    thread::spawn(move || {
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&case)));
        let verdict = judged.unwrap_or_else(|panic| Err(format!("panicked: {}", text(&*panic))));
        // After its time nobody waits for the verdict any more.
        let _ = sender.send(verdict);
    });
    let verdict = verdict
        .recv_timeout(limit)
        .unwrap_or_else(|_| Err(format!("no verdict within {limit:?}")));
    verdict.map_err(|reason| format!("{about}: {reason}"))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(file: &str, cases: Value, judge: Judge) -> Vec<Job> {
        let cases: Vec<Value> = serde_json::from_value(cases).unwrap();
        let jobs = cases
            .into_iter()
            .map(|case| read_case(file, case, judge_of));
        jobs.map(|mut job| {
            if let Ok((of_file, _)) = &mut job.case {
                *of_file = judge;
            }
            job
        })
        .collect()
    }

    fn case(id: &str) -> Value {
        serde_json::json!({"id": id, "about": "a case", "given": {}, "when": {}, "expect": {}})
    }

    #[test]
    fn a_case_that_hangs_or_panics_fails_alone() {
        fn judge(case: &Case) -> Result<(), String> {
            match case.id.as_str() {
                "hangs" => loop {
                    thread::park();
                },
                "panics" => std::panic::resume_unwind(Box::new("out of bounds")),
                _ => Ok(()),
            }
        }
        let cases = ["fine", "hangs", "panics", "fine too"].map(case);
        let jobs = jobs("arguments.json", cases.to_vec().into(), judge);
        let report = run_all(jobs, Duration::from_millis(200));
        let failures: Vec<_> = report
            .failures
            .iter()
            .map(|f| (&*f.id, &*f.reason))
            .collect();
        assert_eq!(
            failures,
            [
                ("hangs", "a case: no verdict within 200ms"),
                ("panics", "a case: panicked: out of bounds")
            ]
        );
        assert_eq!(report.passed, 2);
    }

    #[test]
    fn a_file_of_an_unknown_name_and_a_case_of_an_unknown_shape_fail() {
        let mut odd = case("odd");
        odd["then"] = "more".into();
        let mut all = jobs("arguments.json", vec![odd, 7.into()].into(), |_| Ok(()));
        all.extend(jobs("more.json", vec![case("x")].into(), |_| Ok(())));
        let report = run_all(all, LIMIT);
        let ids: Vec<_> = report.failures.iter().map(|failure| &*failure.id).collect();
        assert_eq!(ids, ["odd", "(no id)", "x"]);
        assert_eq!(report.passed, 0);
    }
}
