//! Examples, as `help COMMAND` shows them: lines of the shell. After `netdisk` each runs as one command, too.

pub(super) const REGISTER: &str =
    "Examples:\n  register alice\n  register alice --invitation CODE  # where the server asks for one";
pub(super) const LOGIN: &str = "Examples:\n  login alice";
pub(super) const LOGOUT: &str = "Examples:\n  logout";
pub(super) const PASSWD: &str = "Examples:\n  passwd";
pub(super) const SESSIONS: &str =
    "Examples:\n  sessions\n  sessions --revoke b0ec3f1a2c77  # the ID is the first word of each line";
pub(super) const WHOAMI: &str = "Examples:\n  whoami";
pub(super) const LS: &str =
    "Examples:\n  ls\n  ls -l docs\n  ls -S photos  # the largest first\n  ls -R photos  # all below it, too";
pub(super) const LL: &str = "Examples:\n  ll\n  ll -t docs  # the newest first";
pub(super) const TREE: &str = "Examples:\n  tree\n  tree photos --depth 2\n  tree --size";
pub(super) const FIND: &str = "Examples:\n  find --name '*.jpg'\n  find photos --type f --size +10M\n  find --newer 2d  # changed within two days\n  find --older 2026-01-01 --type f";
pub(super) const DU: &str = "Examples:\n  du\n  du -s photos\n  du --depth 1";
pub(super) const PUT: &str = "Examples:\n  put report.pdf\n  put report.pdf docs/\n  put 'my file.txt' docs/notes.txt\n  put *.txt docs --existing newer\n  put -r photos docs\n  put -r photos docs --exclude '*.tmp' --dry-run  # says what would travel\n  put film.mkv &  # a job, in the shell";
pub(super) const GET: &str = "Examples:\n  get docs/report.pdf\n  get docs/report.pdf copy.pdf\n  get docs/a.txt docs/b.txt . --existing skip\n  get -r photos back\n  get -r photos back --include '*.jpg'  # nothing else";
pub(super) const MKDIR: &str = "Examples:\n  mkdir docs\n  mkdir -p photos/2026/summer";
pub(super) const RM: &str = "Examples:\n  rm old.txt\n  rm -r photos/2019";
pub(super) const MV: &str =
    "Examples:\n  mv draft.txt final.txt\n  mv a.txt b.txt docs\n  mv -f new.txt old.txt  # replaces old.txt";
pub(super) const CP: &str = "Examples:\n  cp report.pdf backup.pdf\n  cp -r photos photos-copy";
pub(super) const QUOTA: &str = "Examples:\n  quota";
pub(super) const STAT: &str = "Examples:\n  stat docs/report.pdf";
pub(super) const CAT: &str = "Examples:\n  cat notes.txt";
pub(super) const CD: &str = "Examples:\n  cd docs\n  cd ..\n  cd  # to the root";
pub(super) const PWD: &str = "Examples:\n  pwd";
pub(super) const LCD: &str = "Examples:\n  lcd Downloads\n  lcd  # home";
pub(super) const LPWD: &str = "Examples:\n  lpwd";
pub(super) const LLS: &str = "Examples:\n  lls\n  lls Downloads";
pub(super) const JOBS: &str = "Examples:\n  jobs";
pub(super) const FG: &str = "Examples:\n  fg\n  fg 2";
pub(super) const CANCEL: &str = "Examples:\n  cancel 2";
pub(super) const WAIT: &str = "Examples:\n  wait\n  wait 2";
pub(super) const HISTORY: &str = "Examples:\n  history";
pub(super) const EXIT: &str = "Examples:\n  exit\n  exit --force  # stops the jobs";
