// Writes what is generated in and about the chart: the CRD's copy, the table of values, the tables of rights.
import { writeFileSync } from 'node:fs';
import { CHART_CRD_FILE, renderChartCrd } from './chart-crd.ts';
import { README_FILE, renderReadme } from './chart-values.ts';
import { RBAC_FILE, renderRbac } from './permissions.ts';

writeFileSync(CHART_CRD_FILE, renderChartCrd());
writeFileSync(README_FILE, renderReadme());
writeFileSync(RBAC_FILE, renderRbac());
