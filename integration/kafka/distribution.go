package kafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// Version is the version of Apache Kafka that runs.
const Version = "4.3.1"

const (
	// minJava is what Kafka 4 demands of a broker.
	minJava = 17
	// libsVariable names a folder with jars that are there already.
	libsVariable = "KAFKA_LIBS"
)

//go:embed pom.xml
var pom []byte

//go:embed log4j2.properties
var log4j []byte

// MissingError says what this machine lacks to run Kafka, and what to do.
type MissingError struct {
	What   string
	Remedy string
	Err    error // why, if there is more to say
}

// Error is a sentence with the remedy.
func (e *MissingError) Error() string {
	text := "kafka: " + e.What + ": " + e.Remedy
	if e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text
}

// Unwrap returns what was the matter.
func (e *MissingError) Unwrap() error { return e.Err }

// distribution is Kafka, ready to be run.
type distribution struct {
	java string // the program
	libs string // the folder of its jars
}

// find finds Java and the jars, and downloads these if they are not there.
func find(ctx context.Context) (distribution, error) {
	java, err := findJava(ctx)
	if err != nil {
		return distribution{}, err
	}
	if libs := os.Getenv(libsVariable); libs != "" {
		if !hasJars(libs) {
			return distribution{}, &MissingError{
				What:   "there is no " + mainJar() + " in " + libs,
				Remedy: "set " + libsVariable + " to a folder that holds it, or not at all",
			}
		}
		return distribution{java, libs}, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return distribution{}, &MissingError{"no folder for Kafka's jars", "set HOME, or " + libsVariable, err}
	}
	libs := filepath.Join(cache, "saramakit-producer", "kafka-"+Version)
	if err := download(ctx, libs); err != nil {
		return distribution{}, err
	}
	return distribution{java, libs}, nil
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

func findJava(ctx context.Context) (string, error) {
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	remedy := fmt.Sprintf("install Java %d or later (Debian: apt-get install default-jre-headless), or set JAVA_HOME", minJava)
	path, err := exec.LookPath(java)
	if err != nil {
		return "", &MissingError{"there is no Java", remedy, err}
	}
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", &MissingError{path + " does not run", remedy, err}
	}
	found := javaVersion.FindSubmatch(out)
	if found == nil {
		return "", &MissingError{fmt.Sprintf("%s has an unknown version: %q", path, out), remedy, nil}
	}
	if major, err := strconv.Atoi(string(found[1])); err != nil || major < minJava {
		return "", &MissingError{fmt.Sprintf("%s is Java %s, too old", path, found[1]), remedy, err}
	}
	return path, nil
}

func mainJar() string { return "kafka_2.13-" + Version + ".jar" }

func hasJars(libs string) bool {
	_, err := os.Stat(filepath.Join(libs, mainJar()))
	return err == nil
}

// download lets Maven copy the jars to libs. The folder is there completely or
// not at all, and of several processes that want it one downloads.
func download(ctx context.Context, libs string) error {
	if hasJars(libs) {
		return nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return &MissingError{
			"there is no Maven to download Kafka with",
			"install it (Debian: apt-get install maven), or set " + libsVariable, err,
		}
	}
	if err := os.MkdirAll(filepath.Dir(libs), 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, libs+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if hasJars(libs) {
		return nil
	}
	work, err := os.MkdirTemp(filepath.Dir(libs), "download-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	jars := filepath.Join(work, "jars")
	cmd := command(ctx, mvn, "-B", "-q", "dependency:copy-dependencies",
		"-Dkafka.version="+Version, "-DoutputDirectory="+jars)
	cmd.Dir = work
	if out, err := output(cmd); err != nil {
		return fmt.Errorf("kafka: download the jars with Maven: %w: %s", err, out)
	}
	if !hasJars(jars) {
		return fmt.Errorf("kafka: Maven did not download %s", mainJar())
	}
	return os.Rename(jars, libs)
}

// lock waits until no other process has the lock of this file.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		unlock, err = tryLock(path)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("kafka: wait for %s: %w", path, err)
		}
	}
}

// tryLock takes the lock of a file. It ends with the process at the latest.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// pause waits between two looks at something.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
