//! Everything that is wrong with a configuration, at once.
//!
//! The parser stops at the first value of a wrong type. So each one it stops at is noted and cut out of the document,
//! and the rest is read again, until it can be read; then what is left is checked against its bounds. What only
//! follows from a value that was cut is not reported.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::check::shown;
use super::{
    Config, ConfigError, FieldError, Host, Mode, NamedFile, Plan, line_and_column, message_of,
    nearest, place, read,
};

/// Problems listed at most: a file that has more of them is no configuration.
const PROBLEMS_MAX: usize = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column from 1: of the key, or of the section that lacks it when that stands in the file.
    pub place: Option<(usize, usize)>,
    /// The key, for instance `ingest.sources[0].bind`; empty when the text is not TOML there.
    pub key: String,
    /// What is wrong, and the fix.
    pub text: String,
}

/// All of them, in the order of the file; what stands nowhere in it comes last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// File name, or `example` or `text`.
    pub origin: String,
    /// At least one.
    pub list: Vec<Problem>,
}

impl Problems {
    fn new(origin: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.place.unwrap_or((usize::MAX, 0)));
        Self {
            origin: origin.to_owned(),
            list,
        }
    }

    /// Of refusals, each at its line of `text`.
    pub(super) fn of_fields(origin: &str, text: &str, errors: &[FieldError]) -> Self {
        let problem = |error: &FieldError| Problem {
            place: locate(text, &error.field),
            key: error.field.clone(),
            text: error.to_string(),
        };
        Self::new(origin, errors.iter().map(problem).collect())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { place, text, .. }) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match place {
                Some((line, column)) => {
                    write!(f, "{separator}{}:{line}:{column}: {text}", self.origin)?;
                }
                None => write!(f, "{separator}{}: {text}", self.origin)?,
            }
        }
        Ok(())
    }
}

impl Config {
    /// As [`Config::parse`] and [`Config::plan`] together, but lists every problem it can find, each with its key and
    /// line.
    ///
    /// # Errors
    /// [`ConfigError::Several`]; [`ConfigError::LiveRefused`] when that is all there is to say.
    pub fn survey(text: &str, origin: &str, host: &Host) -> Result<Plan, ConfigError> {
        Survey::of_text(text, origin, host)
            .verdict()
            .map(|(plan, _)| plan)
    }
}

/// What the reading of a configuration by hand has brought to light. Whoever looks at what it names adds to it.
#[derive(Debug)]
pub struct Survey {
    origin: String,
    text: String,
    /// As far as it could be read; what could not stands at its default.
    config: Option<Config>,
    plan: Option<Plan>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Elements that were cut out of arrays of tables: the array's key and the element's number in the file.
    elements: Vec<(String, usize)>,
}

impl Survey {
    /// Of a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn of_file(path: &Path, host: &Host) -> Result<Self, ConfigError> {
        let text = read(path)?;
        Ok(Self::of_text(&text, &path.display().to_string(), host))
    }

    /// Of a text, which errors call `origin`.
    #[must_use]
    pub fn of_text(text: &str, origin: &str, host: &Host) -> Self {
        let mut reading = Reading {
            text,
            list: Vec::new(),
            cut: Vec::new(),
            elements: Vec::new(),
        };
        let config = reading.run();
        let (cut, elements) = (reading.cut, reading.elements);
        let mut survey = Self {
            origin: origin.to_owned(),
            text: text.to_owned(),
            config: None,
            plan: None,
            problems: reading.list,
            warnings: Vec::new(),
            elements,
        };
        let Some(config) = config else { return survey };
        let (plan, check) = config.checked(host, true);
        let fits = check.errors.is_empty();
        let own = |error: &&FieldError| !follows(error, &cut, &survey.elements);
        let (errors, warnings) = (check.errors.iter(), check.warnings.iter());
        let errors: Vec<Problem> = errors.filter(own).map(|e| survey.problem_of(e)).collect();
        let warnings: Vec<Problem> = warnings.filter(own).map(|e| survey.problem_of(e)).collect();
        survey.problems.extend(errors);
        survey.warnings.extend(warnings);
        survey.plan = fits.then_some(plan);
        survey.config = Some(config);
        survey
    }

    /// The plan, while nothing is wrong.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref().filter(|_| self.problems.is_empty())
    }

    /// The files it names, as far as it could be read.
    #[must_use]
    pub fn named_files(&self, host: &Host) -> Vec<NamedFile> {
        let config = self.config.as_ref();
        config.map_or_else(Vec::new, |config| config.named_files(host))
    }

    /// Adds what is wrong with what a key names.
    pub fn refuse(&mut self, key: &str, text: &str) {
        let problem = self.remark(key, text);
        self.problems.push(problem);
    }

    /// Adds what may be wrong with what a key names.
    pub fn warn(&mut self, key: &str, text: &str) {
        let problem = self.remark(key, text);
        self.warnings.push(problem);
    }

    /// What is wrong so far.
    #[must_use]
    pub fn problems(&self) -> Option<Problems> {
        let list = self.problems.clone();
        (!list.is_empty()).then(|| Problems::new(&self.origin, list))
    }

    /// What may be wrong.
    #[must_use]
    pub fn warnings(&self) -> Option<Problems> {
        let list = self.warnings.clone();
        (!list.is_empty()).then(|| Problems::new(&self.origin, list))
    }

    /// The plan, with what may be wrong with it.
    ///
    /// # Errors
    /// [`ConfigError::Several`]; [`ConfigError::LiveRefused`] when that is all there is to say.
    pub fn verdict(self) -> Result<(Plan, Option<Problems>), ConfigError> {
        let warnings = self.warnings();
        let Some(problems) = self.problems() else {
            // Without a problem there is a plan.
            return self
                .plan
                .map(|plan| (plan, warnings))
                .ok_or(ConfigError::LiveRefused);
        };
        let live = |problem: &Problem| problem.text == ConfigError::LiveRefused.to_string();
        if problems.list.iter().all(live) {
            return Err(ConfigError::LiveRefused);
        }
        Err(ConfigError::Several(problems))
    }

    fn remark(&self, key: &str, text: &str) -> Problem {
        let key = as_in_file(key, &self.elements);
        Problem {
            place: locate(&self.text, &key),
            text: format!("{key}: {}", shown(text)),
            key,
        }
    }

    fn problem_of(&self, error: &FieldError) -> Problem {
        let mut error = error.clone();
        error.field = as_in_file(&error.field, &self.elements);
        Problem {
            place: locate(&self.text, &error.field),
            text: error.to_string(),
            key: error.field,
        }
    }
}

/// Where a key stands in `text`, or the section that lacks it.
fn locate(text: &str, field: &str) -> Option<(usize, usize)> {
    let first = field.split(" + ").next().unwrap_or(field);
    let (document, _) = DeTable::parse_recoverable(text);
    let mut table = document.get_ref();
    let mut span = None;
    for step in first.split('.') {
        let (name, index) = match step.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let Some((key, value)) = table.get_key_value(name) else {
            break;
        };
        span = Some(key.span());
        let mut value = value;
        if let (Some(index), DeValue::Array(elements)) = (index, value.get_ref()) {
            let Some(element) = elements.get(index) else {
                break;
            };
            value = element;
            span = Some(value.span());
        }
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    span.map(|span| line_and_column(text, span.start))
}

/// `ingest.sources[0].bind` with the number that the element has in the file.
fn as_in_file(field: &str, elements: &[(String, usize)]) -> String {
    let numbered = || {
        let (array, rest) = field.split_once('[')?;
        let (index, rest) = rest.split_once(']')?;
        let number = number_in_file(elements, array, index.parse().ok()?);
        Some(format!("{array}[{number}]{rest}"))
    };
    numbered().unwrap_or_else(|| field.to_owned())
}

/// The number that the element now at `index` has in the file.
fn number_in_file(elements: &[(String, usize)], array: &str, index: usize) -> usize {
    let mut cut: Vec<usize> = elements
        .iter()
        .filter(|(name, _)| name == array)
        .map(|(_, number)| *number)
        .collect();
    cut.sort_unstable();
    cut.iter()
        .fold(index, |number, cut| number + usize::from(*cut <= number))
}

/// Whether a refusal only follows from what was cut out.
fn follows(error: &FieldError, cut: &[String], elements: &[(String, usize)]) -> bool {
    let said = format!("{} {} {}", error.field, error.problem, error.fix);
    let from_key = cut.iter().any(|key| {
        let name = key.rsplit('.').next().unwrap_or(key);
        said.contains(key.as_str()) || (name.contains('_') && said.contains(name))
    });
    let emptied = elements.iter().any(|(array, _)| error.field == *array);
    from_key || emptied
}

/// Reads a text as far as it can be read.
struct Reading<'t> {
    text: &'t str,
    list: Vec<Problem>,
    /// Keys that were cut out, and keys that were probably meant by them: they stand at their defaults now.
    cut: Vec<String>,
    /// As [`Survey::elements`].
    elements: Vec<(String, usize)>,
}

impl Reading<'_> {
    fn run(&mut self) -> Option<Config> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors.iter().take(PROBLEMS_MAX) {
            self.note(error, "");
        }
        if !errors.is_empty() {
            // What the parser made of the rest is a guess: a header that is broken moves every key below it.
            return None;
        }
        let (span, mut document) = (document.span(), document.into_inner());
        let mut config = self.read(&span, &mut document)?;
        if config.mode.mode == Mode::Live {
            config.mode.mode = Mode::Paper;
            self.list.push(Problem {
                place: locate(self.text, "mode.mode"),
                key: "mode.mode".to_owned(),
                text: ConfigError::LiveRefused.to_string(),
            });
        }
        Some(config)
    }

    /// Reads the document, cutting out what cannot be read.
    fn read(&mut self, span: &Range<usize>, document: &mut DeTable<'_>) -> Option<Config> {
        while self.list.len() < PROBLEMS_MAX {
            let attempt = Spanned::new(span.clone(), document.clone());
            let error = match Config::deserialize(toml::Deserializer::from(attempt)) {
                Ok(config) => return Some(config),
                Err(error) => error,
            };
            let Some(at) = error.span() else {
                self.note(&error, "");
                return None;
            };
            let Some(key) = self.cut_out(document, &at, "") else {
                self.note(&error, "");
                return None;
            };
            // The element lacks only what has just been cut out of it, and reported.
            let missing = message_of(&error);
            let missing = missing.strip_prefix("missing field `");
            let missing = missing.and_then(|rest| rest.split('`').next());
            let told = missing.is_some_and(|field| self.cut.contains(&format!("{key}.{field}")));
            if !told {
                self.note(&error, &key);
            }
            if let (Some(meant), Some((parent, _))) =
                (nearest(&message_of(&error)), key.rsplit_once('.'))
            {
                self.cut.push(format!("{parent}.{meant}"));
            }
            self.cut.push(key);
        }
        None
    }

    fn note(&mut self, error: &toml::de::Error, key: &str) {
        let (line, column, message) = place(self.text, error);
        let text = if key.is_empty() || message.starts_with("unknown field") {
            message
        } else {
            format!("{key}: {message}")
        };
        self.list.push(Problem {
            place: Some((line, column)),
            key: key.to_owned(),
            text,
        });
    }

    /// Cuts out the innermost item at `at`; its key.
    fn cut_out(
        &mut self,
        table: &mut DeTable<'_>,
        at: &Range<usize>,
        path: &str,
    ) -> Option<String> {
        let holds = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
        let mut found = None;
        for (name, value) in table.iter_mut() {
            let key = joined(path, name.get_ref());
            let (key_span, value_span) = (name.span(), value.span());
            let inner = match value.get_mut() {
                DeValue::Table(inner) => self.cut_out(inner, at, &key),
                DeValue::Array(elements) => self.cut_out_element(elements, at, &key),
                _ => None,
            };
            if inner.is_some() {
                return inner;
            }
            if holds(key_span) || holds(value_span) {
                found = Some((name.get_ref().to_string(), key));
                break;
            }
        }
        let (name, key) = found?;
        table.remove(name.as_str());
        Some(key)
    }

    fn cut_out_element(
        &mut self,
        elements: &mut DeArray<'_>,
        at: &Range<usize>,
        array: &str,
    ) -> Option<String> {
        let mut found = None;
        for (index, element) in elements.iter_mut().enumerate() {
            let span = element.span();
            let key = format!("{array}[{}]", number_in_file(&self.elements, array, index));
            let DeValue::Table(table) = element.get_mut() else {
                // A list of plain values is cut out whole, by its key.
                return None;
            };
            if let Some(inner) = self.cut_out(table, at, &key) {
                return Some(inner);
            }
            if span == *at {
                found = Some((index, key));
                break;
            }
        }
        let (index, key) = found?;
        let number = number_in_file(&self.elements, array, index);
        // The library's arrays do not shrink in the middle, so the array is made anew.
        let all = std::mem::replace(elements, DeArray::new()).into_iter();
        *elements = all
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, element)| element)
            .collect();
        self.elements.push((array.to_owned(), number));
        Some(key)
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
