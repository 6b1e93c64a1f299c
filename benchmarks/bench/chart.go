package bench

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
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

// colour tells a producer from the others in every chart, also in grey and for
// most of those who see fewer colours (Okabe and Ito).
func colour(producer string) color.Color {
	switch producer {
	case "sarama":
		return color.RGBA{153, 153, 153, 255}
	case "Async", "Sync":
		return color.RGBA{0, 114, 178, 255}
	case "Async, OnSuccess", "Sync, OnSuccess":
		return color.RGBA{86, 180, 233, 255}
	case "franz-go":
		return color.RGBA{230, 159, 0, 255}
	case "kafka-go":
		return color.RGBA{0, 158, 115, 255}
	case "confluent":
		return color.RGBA{204, 121, 167, 255}
	}
	return color.Black
}

// What a picture is made of, in points.
const (
	height = vg.Length(300)
	margin = vg.Length(12) // around it all: labels of the axes reach over its edge
	aside  = vg.Length(130)
	group  = vg.Length(100) // the bars that stand together
	edge   = vg.Length(80)  // beside the first and the last of them
	axes   = vg.Length(420) // where a line is drawn
)

func (c *chart) draw(results []*Result, path string) error {
	p := plot.New()
	p.Title.Text = c.title
	p.Title.Padding = vg.Points(8)
	p.Add(plotter.NewGrid())
	legend := plot.NewLegend()
	legend.Top, legend.Padding = true, vg.Points(2)
	width := axes
	var err error
	if c.axis == "" {
		width = edge + group*vg.Length(max(2, len(results)))
		err = c.bars(p, &legend, results)
	} else {
		err = c.lines(p, &legend, results)
	}
	if err != nil {
		return err
	}
	p.Y.Min = 0
	picture, err := draw.NewFormattedCanvas(2*margin+width+aside, height, "svg")
	if err != nil {
		return err
	}
	canvas := draw.New(picture)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Path())
	p.Draw(draw.Crop(canvas, margin, -margin-aside, margin, -margin))
	legend.Draw(draw.Crop(canvas, 0, -margin, 0, -3*margin))
	var svg bytes.Buffer
	if _, err := picture.WriteTo(&svg); err != nil {
		return err
	}
	return os.WriteFile(path, svg.Bytes(), 0o644)
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

func (c *chart) bars(p *plot.Plot, legend *plot.Legend, results []*Result) error {
	names := producers(results)
	width := 0.8 * group / vg.Length(len(names))
	for i, name := range names {
		values := make(plotter.Values, len(results))
		for j, r := range results {
			values[j] = c.value(r, name)
		}
		bar, err := plotter.NewBarChart(values, width)
		if err != nil {
			return err
		}
		bar.Color, bar.LineStyle.Width = colour(name), 0
		bar.Offset = width * vg.Length(float64(i)-float64(len(names)-1)/2)
		p.Add(bar)
		legend.Add(name, bar)
	}
	var labels []string
	for _, r := range results {
		labels = append(labels, strings.NewReplacer(", ", "\n", " of what ", "\nof what\n").Replace(r.Name))
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.5, float64(len(results))-0.5
	return nil
}

func (c *chart) lines(p *plot.Plot, legend *plot.Legend, results []*Result) error {
	p.X.Label.Text = c.axis
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	for _, name := range producers(results) {
		points := make(plotter.XYs, len(results))
		for j, r := range results {
			points[j].X, points[j].Y = r.X, c.value(r, name)
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color = colour(name), colour(name)
		line.Width, dots.Shape = vg.Points(1.5), draw.CircleGlyph{}
		p.Add(line, dots)
		legend.Add(name, line, dots)
	}
	return nil
}
