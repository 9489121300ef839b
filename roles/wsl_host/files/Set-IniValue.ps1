<#
.SYNOPSIS
    Keys of a file in INI form have given values; everything else in it stays as it is, to the letter.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Sections and keys are found without regard to case, a missing one is
    added at the end of the section or of the file. The file of before stays beside the new one as "<file>.before".
.PARAMETER Settings
    A list of hashtables with section, key and value.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Path,

    [Parameter(Mandatory = $true)]
    [object[]]
    $Settings
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$file = [System.Environment]::ExpandEnvironmentVariables($Path)
$text = ''
if (Test-Path -LiteralPath $file) {
    $text = [System.IO.File]::ReadAllText($file)
}
$lines = New-Object -TypeName System.Collections.Generic.List[string]
foreach ($line in @($text -split "`r?`n")) {
    $lines.Add($line)
}
# The last, empty piece behind the final line break.
while ($lines.Count -gt 0 -and $lines[$lines.Count - 1].Trim() -eq '') {
    $lines.RemoveAt($lines.Count - 1)
}

$before = @{}
$after = @{}
foreach ($setting in $Settings) {
    $section = [string]$setting.section
    $key = [string]$setting.key
    $wanted = [string]$setting.value
    $inside = $false
    $end = -1
    $at = -1
    for ($number = 0; $number -lt $lines.Count; $number++) {
        if ($lines[$number] -match '^\s*\[\s*(.+?)\s*\]') {
            $inside = $Matches[1] -eq $section
        }
        if ($inside -and $lines[$number].Trim() -ne '') {
            $end = $number
            if ($lines[$number] -match '^\s*([^#;=\[\s][^=]*?)\s*=' -and $Matches[1] -eq $key) {
                $at = $number
            }
        }
    }
    $name = "[$section] $key"
    $current = ''
    if ($at -ge 0) {
        $current = ($lines[$at] -split '=', 2)[1].Trim()
    }
    if ($current -eq $wanted) {
        continue
    }
    $before[$name] = $current
    $after[$name] = $wanted
    if ($at -ge 0) {
        $lines[$at] = "$key=$wanted"
    }
    elseif ($end -ge 0) {
        $lines.Insert($end + 1, "$key=$wanted")
    }
    else {
        $lines.Add("[$section]")
        $lines.Add("$key=$wanted")
    }
}

if ($after.Count -gt 0) {
    if ($PSCmdlet.ShouldProcess($file, 'write')) {
        # WSL reads UTF-8 without a mark at the beginning.
        $plain = New-Object -TypeName System.Text.UTF8Encoding -ArgumentList $false
        [System.IO.File]::WriteAllText("$file.new", (($lines -join "`r`n") + "`r`n"), $plain)
        if (Test-Path -LiteralPath $file) {
            [System.IO.File]::Replace("$file.new", $file, "$file.before")
        }
        else {
            [System.IO.File]::Move("$file.new", $file)
        }
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = $before; after = $after }
$Ansible.Result = @{ changed_settings = @($after.Keys) }
