//! What is shown and what keys do to it. Pure: updates and keys in, actions out.

use std::collections::VecDeque;

use profile::{
    Profile,
    trend::{History, Point},
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    routes::Routes,
    rows::{self, Row, Sort},
    update::{LoopRow, Memory, Tick, Update},
};

/// The past that is kept, in windows.
const MAX_WINDOWS: usize = 60;
/// The past that is shown, in windows: what `w` goes through.
const SPANS: [usize; 3] = [10, 1, MAX_WINDOWS];
/// Points of memory: an hour in full, longer at a coarser grain.
const MEMORY_POINTS: usize = 1024;
/// A filter is typed by hand.
const MAX_FILTER_CHARS: usize = 100;

/// What fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Functions by CPU time.
    #[default]
    Functions,
    /// Threads by CPU time.
    Threads,
    /// Event loops.
    Loops,
    /// Memory over time.
    Memory,
    /// A flamegraph.
    Flame,
    /// Requests by route.
    Routes,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 6] =
        [Self::Functions, Self::Threads, Self::Loops, Self::Memory, Self::Flame, Self::Routes];

    /// As its tab says.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Threads => "threads",
            Self::Loops => "loops",
            Self::Memory => "memory",
            Self::Flame => "flame",
            Self::Routes => "routes",
        }
    }
}

/// What is to be done outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// Write what is shown into a file.
    Save,
}

/// Everything that is known.
pub struct State {
    /// Whom it is of.
    pub target: String,
    /// What is shown.
    pub view: View,
    /// How tables are sorted.
    pub sort: Sort,
    /// Requests.
    pub routes: Routes,
    /// Part of a name.
    pub filter: String,
    /// The filter is being typed.
    pub is_typing: bool,
    /// Nothing new is shown.
    pub is_paused: bool,
    /// The row that is marked; of a flamegraph the first line.
    pub selected: usize,
    /// The function that the flamegraph begins with.
    pub focus: Option<String>,
    /// Said at the bottom until the next key.
    pub message: Option<String>,
    /// Why nothing new comes, if nothing does.
    pub ended: Option<String>,
    /// Keys are explained.
    pub has_help: bool,
    /// Samples that did not get here.
    pub n_lost: u64,
    windows: VecDeque<Profile>,
    span: usize,
    shown: Option<Profile>,
    loops: Vec<LoopRow>,
    memory: History,
    last_memory: Option<Memory>,
}

impl State {
    /// Nothing yet.
    #[must_use]
    pub fn new(target: String) -> Self {
        Self {
            target,
            view: View::default(),
            sort: Sort::default(),
            routes: Routes::default(),
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            selected: 0,
            focus: None,
            message: None,
            ended: None,
            has_help: false,
            n_lost: 0,
            windows: VecDeque::new(),
            span: 0,
            shown: None,
            loops: Vec::new(),
            memory: History::new(MEMORY_POINTS),
            last_memory: None,
        }
    }

    /// The same, of the last window alone.
    #[must_use]
    pub fn of_last_window(self) -> Self {
        Self { span: SPANS.iter().position(|n_windows| *n_windows == 1).unwrap_or(0), ..self }
    }

    /// Takes in something new. What is paused is what is shown; memory goes on.
    pub fn update(&mut self, update: Update) {
        match update {
            Update::Tick(tick) => {
                let Tick { profile, loops, routes, n_lost } = *tick;
                self.n_lost = n_lost;
                if self.is_paused {
                    return;
                }
                self.windows.push_back(profile);
                while self.windows.len() > MAX_WINDOWS {
                    self.windows.pop_front();
                }
                self.loops = loops;
                routes.into_iter().for_each(|routes| self.routes.push(routes, MAX_WINDOWS));
                self.merge();
            }
            Update::Memory(memory) => {
                self.memory.push(memory.time_ns, memory.private_bytes);
                self.last_memory = Some(memory);
            }
            Update::Ended(reason) => {
                self.ended = Some(reason.unwrap_or_else(|| "every process has ended".to_owned()));
            }
        }
    }

    /// Does what a key asks for.
    pub fn key(&mut self, key: KeyEvent) -> Option<Action> {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
        }
        if self.is_typing {
            self.type_filter(key.code);
            return None;
        }
        if self.has_help {
            self.has_help = false;
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Char('s') => return Some(Action::Save),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('o') if self.view == View::Routes => self.routes.sort = self.routes.sort.next(),
            KeyCode::Char('o') => self.sort = self.sort.next(),
            KeyCode::Char('w') => {
                self.span = (self.span + 1) % SPANS.len();
                self.merge();
            }
            KeyCode::Char('?' | 'h') => self.has_help = true,
            KeyCode::Char(digit @ '1'..='6') => {
                let at = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                self.show(View::ALL.get(at).copied().unwrap_or_default());
            }
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(View::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(self.last()),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = (self.selected + 10).min(self.last()),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            KeyCode::Home => self.selected = 0,
            KeyCode::Enter if self.view == View::Functions => {
                self.focus = self.rows().get(self.selected).map(|row| row.name.clone());
                self.show(View::Flame);
            }
            KeyCode::Esc => {
                self.focus = None;
                self.filter.clear();
                self.selected = 0;
            }
            _ => {}
        }
        None
    }

    /// What is shown, if there is anything yet.
    #[must_use]
    pub fn shown(&self) -> Option<&Profile> {
        self.shown.as_ref()
    }

    /// What is saved: requests where those are looked at, else CPU time.
    #[must_use]
    pub fn saved(&self) -> Option<&Profile> {
        match self.view {
            View::Routes => self.routes.shown().map(|shown| &shown.profile),
            _ => self.shown(),
        }
    }

    /// As the title says what rows are sorted by.
    #[must_use]
    pub fn sort_name(&self) -> &'static str {
        if self.view == View::Routes { self.routes.sort.name() } else { self.sort.name() }
    }

    /// Functions or threads, by what is asked for.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let Some(profile) = &self.shown else { return Vec::new() };
        match self.view {
            View::Threads => rows::threads(profile, self.sort, &self.filter),
            _ => rows::functions(profile, self.sort, &self.filter),
        }
    }

    /// Event loops that the filter leaves.
    #[must_use]
    pub fn loops(&self) -> Vec<&LoopRow> {
        self.loops.iter().filter(|row| rows::matches(&row.name, &self.filter)).collect()
    }

    /// Private memory over time.
    #[must_use]
    pub fn memory(&self) -> Vec<Point> {
        self.memory.points()
    }

    /// The last reading of memory.
    #[must_use]
    pub fn last_memory(&self) -> Option<Memory> {
        self.last_memory
    }

    /// CPU time of what is shown, in percent of a CPU.
    #[must_use]
    pub fn cpu_percent(&self) -> f64 {
        let Some(profile) = &self.shown else { return 0.0 };
        let cpu = profile.value_types().iter().position(|it| it.kind == "cpu");
        let cpu_ns = cpu.map_or(0, |cpu| profile.total(cpu));
        100.0 * cpu_ns as f64 / profile.meta().duration_ns.max(1) as f64
    }

    fn type_filter(&mut self, code: KeyCode) {
        self.selected = 0;
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.chars().count() < MAX_FILTER_CHARS => self.filter.push(c),
            _ => {}
        }
    }

    fn show(&mut self, view: View) {
        self.view = view;
        self.selected = 0;
    }

    fn turn(&mut self, by: usize) {
        let at = View::ALL.iter().position(|view| *view == self.view).unwrap_or(0);
        self.show(View::ALL.get((at + by) % View::ALL.len()).copied().unwrap_or_default());
    }

    /// The last row that can be marked.
    fn last(&self) -> usize {
        match self.view {
            View::Functions | View::Threads => self.rows().len().saturating_sub(1),
            View::Loops => self.loops().len().saturating_sub(1),
            View::Routes => self.routes.rows(&self.filter).len().saturating_sub(1),
            View::Memory => 0,
            // It ends where the deepest stack does, which its drawing knows.
            View::Flame => usize::from(u8::MAX),
        }
    }

    fn merge(&mut self) {
        let n_windows = SPANS.get(self.span).copied().unwrap_or(MAX_WINDOWS);
        let mut windows = self.windows.iter().rev().take(n_windows).rev();
        self.shown = windows.next().cloned().map(|mut whole| {
            windows.for_each(|window| whole.append(window));
            whole
        });
        self.routes.merge(n_windows);
    }
}
