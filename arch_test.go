package gokafka_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "gokafka"

// mayImport says which of our packages each package may import, tests apart. Everyone may import internal/clock. "*" is any
// package but broker. To change it, think first whether the code is in the right place; then write a decision record.
var mayImport = map[string][]string{
	"protocol":              {},
	"config":                {},
	"metadata":              {},
	"record":                {},
	"security":              {},
	"internal/clock":        {},
	"internal/vfs":          {},
	"internal/kafkalog":     {},
	"purgatory":             {},
	"quota":                 {},
	"coordination":          {},
	"producerid":            {},
	"internal/peer":         {"protocol"},
	"coordination/embedded": {"internal/vfs"},
	"producerstate":         {"record"},
	"dumplog":               {"record", "producerstate"},
	"coordination/znode":    {"coordination", "metadata"},
	"logstore":              {"record", "producerstate", "config", "metadata", "internal/vfs"},
	"logstore/cleaner":      {"logstore", "record"},
	"logstore/logdir":       {"logstore", "logstore/cleaner", "producerstate", "record", "config", "metadata", "internal/vfs"},
	"topics":                {"coordination", "coordination/znode", "metadata", "config"},
	"settings":              {"coordination", "coordination/znode", "config"},
	"suspicion":             {"coordination", "coordination/znode"},
	"controller":            {"coordination", "coordination/znode", "metadata", "protocol", "internal/peer", "topics"},
	"replication":           {"logstore", "logstore/logdir", "metadata", "purgatory", "record", "protocol", "internal/peer", "config", "internal/vfs", "quota"},
	"coordinator":           {"metadata", "record", "replication"},
	"groups":                {"config", "coordinator", "metadata", "record", "replication", "topics"},
	"transactions":          {"config", "coordinator", "internal/peer", "metadata", "record", "replication", "topics"},
	"lag":                   {"groups", "internal/peer", "metadata"},
	"fetch":                 {"replication", "metadata", "protocol"},
	"handlers":              {"config", "controller", "fetch", "groups", "metadata", "producerid", "protocol", "record", "replication", "security", "settings", "topics", "transactions"},
	"server":                {"protocol", "handlers", "security"},
	"internal/show":         {},
	"clusterview":           {"internal/show"},
	"admin":                 {"internal/show", "metadata", "topics"},
	"broker":                {"*"},
	"cmd/gokafka":           {"admin", "broker", "clusterview", "config", "coordination/embedded", "dumplog", "internal/kafkalog", "internal/show", "internal/vfs"},
}

// goFiles calls f for each Go file of the module, with the package's path below it.
func goFiles(t *testing.T, f func(pkg, path string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." {
				if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
					return filepath.SkipDir // a module of its own
				}
				if name := d.Name(); strings.HasPrefix(name, ".") || name == "testdata" {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(filepath.Dir(path)), path, file, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isTest(pkg, path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.HasPrefix(pkg, "compat_test") || strings.HasPrefix(pkg, "coordination/embedded/contract") || pkg == "coordination/zktest"
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	goFiles(t, func(pkg, path string, file *ast.File, _ *token.FileSet) {
		if pkg == "." || isTest(pkg, path) {
			return
		}
		seen[pkg] = true
		allowed, ok := mayImport[pkg]
		if !ok {
			t.Errorf("package %s is not in the table", pkg)
			return
		}
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			own, ok := strings.CutPrefix(name, module+"/")
			if !ok || own == "internal/clock" || slices.Contains(allowed, own) || slices.Contains(allowed, "*") && own != "broker" {
				continue
			}
			t.Errorf("%s imports %s, which %s may not", path, own, pkg)
		}
	})
	for pkg := range mayImport {
		if !seen[pkg] {
			t.Errorf("package %s of the table does not exist", pkg)
		}
	}
}

// Time comes from the broker's clock: nobody else asks the runtime for it.
func TestOneClock(t *testing.T) {
	banned := []string{"Now", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep", "Since", "Until"}
	goFiles(t, func(pkg, path string, file *ast.File, fset *token.FileSet) {
		if isTest(pkg, path) || pkg == "internal/clock" || strings.HasPrefix(pkg, "cmd/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(banned, sel.Sel.Name) {
				t.Errorf("%s: time.%s outside internal/clock", fset.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	})
}

// Several brokers live in one process: nothing registers itself at start.
func TestNoInit(t *testing.T) {
	goFiles(t, func(pkg, path string, file *ast.File, fset *token.FileSet) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init function", fset.Position(f.Pos()))
			}
		}
	})
}

func TestPackageNames(t *testing.T) {
	for pkg := range mayImport {
		if base := filepath.Base(pkg); slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "base"}, base) {
			t.Errorf("%s is not a name that says a job", pkg)
		}
	}
}

// Every package says what it is for.
func TestPackageComments(t *testing.T) {
	commented := map[string]bool{}
	all := map[string]bool{}
	goFiles(t, func(pkg, path string, file *ast.File, _ *token.FileSet) {
		if pkg == "." || isTest(pkg, path) {
			return
		}
		all[pkg] = true
		if file.Doc != nil {
			commented[pkg] = true
		}
	})
	for pkg := range all {
		if !commented[pkg] {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}
