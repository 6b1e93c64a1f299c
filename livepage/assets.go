package livepage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed text.js
var textJS string

//go:embed page.js
var pageJS string

// assemble puts the page together, and says which Content-Security-Policy lets
// nothing but this one style and this one script act in it.
func assemble() (html []byte, policy string) {
	script := textJS + pageJS
	page := strings.NewReplacer("{{style}}", pageCSS, "{{script}}", script).Replace(pageHTML)
	return []byte(page), strings.Join([]string{
		"default-src 'none'",
		"style-src '" + hash(pageCSS) + "'",
		"script-src '" + hash(script) + "'",
		"connect-src 'self'",
		"img-src data:", // the empty icon, so that browsers do not ask for one
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
