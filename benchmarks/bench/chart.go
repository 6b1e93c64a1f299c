package bench

import (
	"image/color"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// chart is a picture of one quantity in the cells of a group.
type chart struct {
	file, title string
	group       string
	quantity    Quantity
	axis        string // what X is, "": the cells stand side by side
}

func charts() []chart {
	return []chart{
		{"throughput", "Messages per second, divided by sarama with the same settings", groupAsync, Throughput, ""},
		{"cpu", "Processor time per message, divided by sarama with the same settings", groupAsync, CPU, ""},
		{"defaults", "Messages per second with the defaults of each", groupDefaults, Throughput, ""},
		{"synchronous", "Messages per second, waiting for each outcome", groupSync, Throughput, ""},
		{"latency", "99 % of messages are acknowledged after, divided by sarama", groupLatency, P99, ""},
		{"partitions", "Messages per second, divided by sarama", groupPartitions, Throughput, "partitions"},
		{"topics", "Messages per second, divided by sarama", groupTopics, Throughput, "topics of one partition"},
		{"goroutines", "Messages per second, divided by sarama", groupGoroutines, Throughput, "goroutines that send"},
		{"size", "Messages per second, divided by sarama", groupSize, Throughput, "bytes per message"},
	}
}

// Charts draws the report into files of a folder.
func (r *Report) Charts(dir, prefix string) error {
	for _, c := range charts() {
		var results []*Result
		for i := range r.Results {
			if r.Results[i].Group == c.group {
				results = append(results, &r.Results[i])
			}
		}
		if len(results) == 0 {
			continue
		}
		if err := c.draw(results, filepath.Join(dir, prefix+c.file+".svg")); err != nil {
			return err
		}
	}
	return nil
}

// colours tell producers apart, also in grey and for most of those who see
// fewer colours (Okabe and Ito).
func colours() []color.Color {
	return []color.Color{
		color.RGBA{153, 153, 153, 255},
		color.RGBA{0, 114, 178, 255},
		color.RGBA{86, 180, 233, 255},
		color.RGBA{230, 159, 0, 255},
		color.RGBA{0, 158, 115, 255},
		color.RGBA{204, 121, 167, 255},
	}
}

func (c *chart) draw(results []*Result, path string) error {
	p := plot.New()
	p.Title.Text = c.title
	p.Title.Padding = vg.Points(8)
	p.Legend.Top = true
	p.Y.Min = 0
	p.Add(plotter.NewGrid())
	var err error
	if c.axis == "" {
		err = c.bars(p, results)
	} else {
		err = c.lines(p, results)
	}
	if err != nil {
		return err
	}
	return p.Save(vg.Points(float64(300+90*len(results))), vg.Points(320), path)
}

// producers are the names in the rows, in their order.
func producers(results []*Result) (names []string) {
	for _, row := range results[0].Rows {
		names = append(names, row.Producer)
	}
	return names
}

func (c *chart) value(r *Result, name string) float64 {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Producer == name })
	return r.Rows[i].Figures[c.quantity].Compared.Median
}

func (c *chart) bars(p *plot.Plot, results []*Result) error {
	names := producers(results)
	width := vg.Points(80 / float64(len(names)))
	for i, name := range names {
		values := make(plotter.Values, len(results))
		for j, r := range results {
			values[j] = c.value(r, name)
		}
		bar, err := plotter.NewBarChart(values, width)
		if err != nil {
			return err
		}
		bar.Color, bar.LineStyle.Width = colours()[i%len(colours())], 0
		bar.Offset = width * vg.Length(float64(i)-float64(len(names)-1)/2)
		p.Add(bar)
		p.Legend.Add(name, bar)
	}
	var labels []string
	for _, r := range results {
		labels = append(labels, strings.ReplaceAll(r.Name, ", ", "\n"))
	}
	p.NominalX(labels...)
	return nil
}

func (c *chart) lines(p *plot.Plot, results []*Result) error {
	p.X.Label.Text = c.axis
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	for i, name := range producers(results) {
		points := make(plotter.XYs, len(results))
		for j, r := range results {
			points[j].X, points[j].Y = r.X, c.value(r, name)
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color = colours()[i%len(colours())], colours()[i%len(colours())]
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	return nil
}
