//! Everything the user can ask for: name, default keys, help, place. One table feeds the keymap, the
//! configuration, the footer, the help overlay and `docs/keys.md`.

use std::fmt::Write as _;

use crate::dashboard::DASHBOARDS;

/// Where a key means something. Inner places are asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// A line of text is being typed.
    Prompt,
    /// The detail pane of an event is open.
    Detail,
    /// The KPI cards have the focus.
    Cards,
    /// A chart over time or a heatmap has the focus.
    Trend,
    /// Incidents have the focus.
    Incidents,
    /// A table has the focus.
    Table,
    /// No overlay is open.
    View,
    /// Always.
    Always,
}

impl Context {
    /// Every place, in the order of the help.
    pub const ALL: &'static [Self] =
        &[Self::View, Self::Table, Self::Incidents, Self::Trend, Self::Cards, Self::Detail, Self::Prompt, Self::Always];

    /// Its heading in the help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Prompt => "While typing",
            Self::Detail => "One event",
            Self::Cards => "Cards",
            Self::Trend => "Charts and heatmaps",
            Self::Table => "Tables",
            Self::Incidents => "Incidents",
            Self::View => "On every tab",
            Self::Always => "Always",
        }
    }
}

macro_rules! actions {
    ($($variant:ident { $name:literal, [$($key:literal),*], $context:ident, $hint:literal, $help:literal }),+ $(,)?) => {
        /// Something the user can ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $(#[doc = $help] $variant),+ }

        /// Every action.
        pub const ACTIONS: &[ActionInfo] = &[$(ActionInfo {
            action: Action::$variant,
            name: $name,
            keys: &[$($key),*],
            context: Context::$context,
            hint: $hint,
            help: $help,
        }),+];
    };
}

/// What is known of an action.
#[derive(Debug)]
pub struct ActionInfo {
    /// The action.
    pub action: Action,
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its default keys.
    pub keys: &'static [&'static str],
    /// Where its keys are valid.
    pub context: Context,
    /// Its word in the footer; empty: not shown there.
    pub hint: &'static str,
    /// What it does.
    pub help: &'static str,
}

actions! {
    Drill { "drill", ["enter"], View, "drill", "Enter the rows behind the card, row or chart cell under the cursor; with a box on a chart, narrow the scope to it; in the Explorer open the event" },
    Back { "back", ["esc"], View, "", "One level back, the cursor where it was; cancels what is running; never quits" },
    Filter { "filter", ["f", "/"], View, "filter", "Type a filter, with completion of fields and values" },
    Include { "include", ["+"], Table, "+/-/= this value", "Keep only rows with the value under the cursor, beside other values of its field" },
    Exclude { "exclude", ["-"], Table, "", "Leave rows with the value under the cursor out" },
    Only { "only", ["="], Table, "", "Keep only rows with the value under the cursor, whatever its field was limited to" },
    SortNext { "sort-next", [">"], Table, "</>/s sort", "Sort by the next column" },
    SortPrevious { "sort-previous", ["<"], Table, "", "Sort by the column before" },
    SortFlip { "sort-flip", ["s"], Table, "", "Turn the order around; sorts by the column under the cursor where nothing is sorted" },
    Mark { "mark", ["space", "V"], Trend, "box", "Begin a box on a chart or heatmap: arrows extend it, Enter narrows the scope to it, z zooms to its time, Esc gives it up" },
    Shade { "shade", ["m"], Trend, "measure", "Colour the heatmap by its next measure" },
    CardPrevious { "card-previous", ["left", "h", "up", "k"], Cards, "←/→ card", "The card to the left" },
    CardNext { "card-next", ["right", "l", "down", "j"], Cards, "", "The card to the right" },
    ScrollDown { "scroll-down", ["pgdn", "ctrl-d", "J"], Detail, "pgdn/pgup scroll", "Scroll the event down" },
    ScrollUp { "scroll-up", ["pgup", "ctrl-u", "K"], Detail, "", "Scroll the event up" },
    CloseDetail { "close-detail", ["esc"], Detail, "close", "Close the event" },
    Journey { "journey", ["enter"], Detail, "journey", "The life of the event's message: received, attempts, delivered or bounced, remote bounce, complaint" },
    Acknowledge { "acknowledge", ["A"], Incidents, "acknowledge", "Say that somebody knows of the incident, or take that back" },
    Silence { "silence", ["M"], Incidents, "mute", "Silence the incident: for 1 or 4 hours, or until it is over" },
    Note { "note", ["w"], Incidents, "note", "Write a note beside the incident" },
    Evidence { "evidence", ["E"], Incidents, "evidence", "Write a ticket for the provider's postmaster: Markdown, and its rows as CSV; recipients are hidden" },
    Tune { "tune", ["T"], Incidents, "tune", "Try other thresholds of the rule that found the incident: how often it would have fired" },
    ShowIncident { "show-incident", ["o"], Incidents, "its tab", "Open the tab that shows the incident, with its scope and the time around it" },
    Explain { "explain", ["x"], View, "explain", "Why? Compares what is under the cursor with its baseline: where the change is, since when, what the other side says, what has nothing to do with it" },
    Time { "time", ["t"], View, "time", "Pick a time range" },
    ZoomIn { "zoom-in", ["z"], View, "z/Z zoom", "Half the time range; with a box on a chart, the time of the box" },
    ZoomOut { "zoom-out", ["Z"], View, "", "Twice the time range" },
    PanEarlier { "pan-earlier", ["{"], View, "{/} pan", "Move the time range a quarter earlier" },
    PanLater { "pan-later", ["}"], View, "", "Move the time range a quarter later" },
    Variant { "variant", ["v"], View, "group by", "Group the panel by its next field" },
    Export { "export", ["e"], View, "export", "Write the focused panel's whole answer to a CSV file" },
    AddFiles { "add-files", ["a"], View, "add files", "Take in files, folders or archives" },
    Help { "help", ["?", "f1"], View, "help", "This help; type to search in it" },
    NextPanel { "next-panel", ["tab"], View, "panel", "The next panel" },
    PreviousPanel { "previous-panel", ["shift-tab"], View, "", "The panel before" },
    Up { "up", ["k", "up"], View, "", "One row up" },
    Down { "down", ["j", "down"], View, "", "One row down" },
    PageUp { "page-up", ["pgup", "ctrl-u"], View, "", "One page up" },
    PageDown { "page-down", ["pgdn", "ctrl-d"], View, "", "One page down" },
    Top { "top", ["g", "home"], View, "", "The first row" },
    Bottom { "bottom", ["G", "end"], View, "", "The last row; in an Explorer of unknown length the order turns around instead" },
    Left { "left", ["h", "left"], View, "", "One column, or on a chart one time, to the left" },
    Right { "right", ["l", "right"], View, "", "One column, or on a chart one time, to the right" },
    DropChip { "drop-chip", ["backspace"], View, "", "Take the last filter away" },
    ClearChips { "clear-chips", ["ctrl-r"], View, "", "Take every filter away; the time range stays" },
    HistoryBack { "history-back", ["[", "alt-left"], View, "", "The scope before this one" },
    HistoryForward { "history-forward", ["]", "alt-right"], View, "", "The scope after this one" },
    Refresh { "refresh", ["r", "f5"], View, "", "Ask everything on this tab again" },
    Pause { "pause", ["p"], View, "", "Hold the screen still, or let it follow new data again" },
    Compare { "compare", ["c"], View, "compare", "Compare with nothing, the period before, the same time a week before, or a range of its own" },
    CopyCell { "copy", ["y"], View, "y/Y copy", "Copy the cell under the cursor" },
    CopyRow { "copy-row", ["Y"], View, "", "Copy the row under the cursor as JSON" },
    CopyCommand { "copy-command", ["ctrl-y"], View, "", "Copy the shell command that prints this panel's rows" },
    CopyScreen { "copy-screen", [], View, "", "Copy the shell command that opens the screen in this view" },
    Search { "search", ["ctrl-f"], View, "", "Find text in the table, or filter recipients, replies and ids by it" },
    NextMatch { "next-match", ["n"], Table, "", "The next row that holds what was searched for" },
    PreviousMatch { "previous-match", ["N"], Table, "", "The row before that holds what was searched for" },
    Columns { "columns", ["C"], Table, "", "Choose the Explorer's columns and their order" },
    Details { "details", ["i"], Table, "", "What the reply under the cursor means and what to do; of a file all that is known, with its rejected rows" },
    JourneyOfRow { "journey-of-row", ["o"], Table, "", "In the Explorer: the life of the message under the cursor" },
    RetryFile { "retry-file", ["R"], Table, "", "Take the file under the cursor in again" },
    RemoveFile { "remove-file", ["D"], Table, "", "Take the rows of the file under the cursor out of the catalog; asks first" },
    Palette { "palette", [":", "ctrl-p"], View, "commands", "Every action, tab and saved view by name, with completion" },
    Views { "views", ["V"], View, "", "Open a saved view" },
    SaveView { "save-view", [], View, "", "Save tab, scope, order and columns under a name" },
    Sql { "sql", [";"], View, "", "Ask in SQL, read-only; Esc cancels" },
    SqlOfPanel { "sql-of-panel", ["S"], View, "", "The SQL behind the panel's numbers, to look at, change and run" },
    Mask { "mask", ["P"], View, "", "Hide recipients, or show them again" },
    Quit { "quit", ["q"], View, "", "Leave" },
    Accept { "accept", ["enter"], Prompt, "ok", "Take what is typed or chosen" },
    Cancel { "cancel", ["esc"], Prompt, "close", "Close without changing anything" },
    Complete { "complete", ["tab"], Prompt, "complete", "Take the proposal over and type on" },
    PreviousChoice { "previous-choice", ["up", "shift-tab"], Prompt, "↑/↓ choose", "The proposal above" },
    NextChoice { "next-choice", ["down"], Prompt, "", "The proposal below" },
    QuitNow { "quit-now", ["ctrl-c"], Always, "", "Leave at once" },
    Suspend { "suspend", ["ctrl-z"], Always, "", "Back to the shell; `fg` comes back" },
    Repaint { "repaint", ["ctrl-l"], Always, "", "Paint the whole screen again" },
}

impl Action {
    /// What is known of it.
    pub fn info(self) -> Option<&'static ActionInfo> {
        ACTIONS.iter().find(|info| info.action == self)
    }
}

/// `docs/keys.md`, made from [`ACTIONS`] and the tabs' digits.
pub fn document() -> String {
    let mut out = String::from(
        "# Keys\n\nMade from `app::action::ACTIONS`. Names are those of the `[keys]` table of the configuration, \
         where each takes a list of keys.\n\n## Tabs\n\n| key | tab | |\n|---|---|---|\n",
    );
    for dashboard in DASHBOARDS {
        writeln!(out, "| `{}` | {} | {} |", dashboard.key, dashboard.title, dashboard.about).ok();
    }
    for context in Context::ALL {
        writeln!(out, "\n## {}\n\n| keys | name | what it does |\n|---|---|---|", context.title()).ok();
        for info in ACTIONS.iter().filter(|info| info.context == *context) {
            let keys: Vec<String> = info.keys.iter().map(|key| format!("`{key}`")).collect();
            writeln!(out, "| {} | {} | {} |", keys.join(" "), info.name, info.help).ok();
        }
    }
    out
}
